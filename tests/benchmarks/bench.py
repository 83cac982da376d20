"""The workplace of the throughput benchmark: where sources and outputs lie, and how each variant is run on them."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow.fs as pafs

from tests.benchmarks import process_tree
from tests.benchmarks.job import Job
from tests.s3_server import S3Server

ROOT = Path(__file__).resolve().parents[2]
OURS = "matryoshka"
#: The same with an encoding of few bits.
CODED = {f"{OURS}-{encoding}": encoding for encoding in ("float16", "int8", "int4", "int2", "binary")}
_PINNED = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
BUCKET = "benchmark"


@dataclass(frozen=True)
class Bench:
    """Where everything lies: `data` holds a folder for each source, `local` the models, logs and (without `server`) the
    data."""

    given: argparse.Namespace
    local: Path
    server: S3Server | None

    @property
    def environment(self) -> dict[str, str]:
        """Of all variants."""
        kept = {name: value for name, value in os.environ.items() if name not in _PINNED}
        secrets = self.server.environment if self.server else {}
        return kept | secrets | {"PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"}

    @property
    def data(self) -> str:
        """Folder of sources and outputs for `filesystem`."""
        return BUCKET if self.server else str(self.local)

    @property
    def filesystem(self) -> pafs.FileSystem:
        """Where sources and outputs are."""
        return self.job("", {}).filesystem

    def job(self, case: str, output_bytes: Mapping[str, int]) -> Job:
        """What a peer is told."""
        return Job(
            source=f"{self.data}/{case}",
            output=f"{self.data}/output",
            models=str(self.local / "models"),
            dim=self.given.dim,
            workers=self.given.workers,
            endpoint=self.server.endpoint if self.server else None,
            output_bytes=dict(output_bytes),
        )

    def command(self, variant: str, job: Job, *options: str) -> list[str]:
        """The command line of a variant."""
        if variant != OURS and variant not in CODED:
            (self.local / "job.json").write_text(job.to_json())
            return [sys.executable, "-m", "tests.benchmarks.peers", variant, str(self.local / "job.json"), *options]
        scheme = "s3://" if self.server else ""
        flags = {
            "source.uri": scheme + job.source,
            "output.uri": scheme + job.output,
            "adaptor.uri": str(self.local / "adaptor"),
            "output.dim": str(job.dim),
            "output.encoding": CODED.get(variant, "float32"),
            "cluster.workers": str(job.workers),
        }
        if self.server:
            flags |= {f"{place}.filesystem.endpoint": self.server.endpoint for place in ("source", "output")}
        return [sys.executable, "-m", "jobs", "compress", *(f"--{name}={value}" for name, value in flags.items())]

    def run(self, variant: str, job: Job, *options: str) -> process_tree.Usage:
        """Run a variant on a fresh output."""
        _remove(job.filesystem, job.output)
        log = self.local / f"{variant}.log"
        threads = {"OMP_NUM_THREADS": "1"} if variant in ("floor", "bare-loop", "scikit-learn", "faiss") else {}
        command = self.command(variant, job, *options)
        usage = process_tree.run(command, self.environment | threads, ROOT, log)
        if usage.status:
            lines = log.read_text(errors="replace").strip().splitlines() or ["no output"]
            raise VariantFailed(f"{variant} ended with status {usage.status}: {lines[-1][:200]}")
        return usage


class VariantFailed(Exception):
    """A variant is not installed or does not work on this source."""


def _remove(filesystem: pafs.FileSystem, folder: str) -> None:
    if filesystem.get_file_info(folder).type != pafs.FileType.NotFound:
        filesystem.delete_dir(folder)
