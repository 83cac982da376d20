"""Two drivers on one job at the same time, as real processes: they share it, and the result is that of one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from jobs.commits.names import LEDGER
from jobs.commits.output_version import open_output_version
from jobs.config.compress import CompressConfig
from jobs.storage.objects import Objects
from jobs.storage.open import open_objects
from tests.jobs.compress.workplace import Workplace, table
from tests.s3_server import S3Server

SHARDS = 60


@pytest.fixture
def filled(workplace: Workplace) -> Workplace:
    """The workplace with enough shards that both drivers find work."""
    for number in range(SHARDS - 3):
        workplace.put(f"more/{number:02}.parquet", table(50, seed=100 + number))
    assert workplace.adaptor
    return workplace


def together(config: CompressConfig, root: Path, environment: Mapping[str, str]) -> list[dict[str, Any]]:
    """Start two drivers at once; the summary that each printed last, after both have ended well."""
    program = """
        import sys
        from jobs.compress import command as compress
        from jobs.runtime import summary
        from jobs.config.compress import CompressConfig
        written = []
        write = summary.write_summary
        summary.write_summary = lambda *a: written.append(write(*a)) or written[-1]
        status = compress.run(CompressConfig.model_validate_json(sys.argv[1]))
        import json
        print("summary", json.dumps(written[-1]))
        sys.exit(status)
    """
    lines = "\n".join(line.strip() for line in program.splitlines())
    command = [sys.executable, "-c", lines, config.model_dump_json()]
    drivers = [
        subprocess.Popen(
            command,
            cwd=root,
            env={**os.environ, **environment, "PYTHONPATH": str(root)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = [driver.communicate(timeout=240) for driver in drivers]
    assert [driver.returncode for driver in drivers] == [0, 0], said
    lasts = [out.splitlines()[-1] for out, _ in said]
    return [json.loads(last.removeprefix("summary ")) for last in lasts]


def content(output_version: Objects) -> dict[str, bytes]:
    """Outputs and records."""
    return {
        info.key: output_version.read(info.key) for prefix in ("data/", LEDGER) for info in output_version.list(prefix)
    }


def check_shared(summaries: list[dict[str, Any]], output_version: Objects, alone: dict[str, bytes]) -> None:
    """Both say that it is complete; what is there is what one driver alone makes."""
    assert [summary["status"] for summary in summaries] == ["complete", "complete"]
    assert [summary["work_items_done"] + summary["work_items_done_before"] for summary in summaries] == [SHARDS] * 2
    assert content(output_version) == alone


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_two_drivers_share_a_job_on_disk(filled: Workplace, root: Path) -> None:
    summaries = together(filled.config(), root, {})
    alone = {"uri": str(filled.root / "alone")}
    assert filled.compress(output=alone) == 0
    check_shared(summaries, filled.output_version(), content(filled.output_version(output=alone)))
    assert filled.verify()[0] == 0


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_two_drivers_share_a_job_on_s3(filled: Workplace, root: Path, s3: S3Server, bucket: str) -> None:
    output = {"uri": f"{bucket}/output", "filesystem": s3.options.model_dump()}
    config = filled.config(output=output)
    summaries = together(config, root, s3.environment)
    assert filled.compress() == 0
    output_version = open_output_version(config.output, filled.adaptor)
    check_shared(summaries, output_version, content(filled.output_version()))
    assert open_objects(f"{bucket}/output", s3.options).abandon_uploads(older_than=-60) == 0
