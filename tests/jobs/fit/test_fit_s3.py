"""Fit with the source, the checkpoints and the artefact on a real S3 server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from adaptor.artefact import from_files
from adaptor.identity import FILES
from jobs.config.loader import resolved
from jobs.storage.open import open_objects
from tests.jobs.fit.inputs import config, source
from tests.s3_server import S3Server


@pytest.mark.timeout(240)
@pytest.mark.parametrize("steps", [0, pytest.param(100, marks=pytest.mark.slow, id="with checkpoints")])
def test_everything_in_a_bucket(s3: S3Server, bucket: str, tmp_path: Path, steps: int) -> None:
    place = open_objects(bucket, s3.options)
    for path in source(tmp_path / "source").glob("*.parquet"):
        place.put_file(f"source/{path.name}", path)
    section = {"filesystem": s3.options.model_dump(mode="json")}
    settings = tmp_path / "fit.json"
    sections = {"source": {"uri": f"{bucket}/source", **section}, "output": {"uri": f"{bucket}/out", **section}}
    settings.write_text(
        resolved(config(tmp_path, tmp_path, training={"steps": steps, "checkpoint_seconds": 0.0}, **sections))
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    said = []
    for run in ("first", "second"):
        with (tmp_path / run).open("w") as log:  # a file: Ray's processes would hold a pipe open
            command = [sys.executable, "-m", "jobs", "fit", str(settings)]
            done = subprocess.run(command, stdout=log, stderr=log, env=environment, check=False)
        said.append((tmp_path / run).read_text())
        assert done.returncode == 0, said[-1]
    assert "nothing to do" in said[1]
    written = {info.key: place.read(info.key) for info in place.list("out/")}
    assert set(written) == {f"out/{name}" for name in (*FILES, "config.json", "summary.json")}  # no checkpoint is left
    assert from_files({name: written[f"out/{name}"] for name in FILES}).input_dim == 32
    secret = s3.environment["AWS_SECRET_ACCESS_KEY"].encode()
    assert not [key for key, content in written.items() if secret in content]
    assert secret.decode() not in "".join(said)
