"""Planted secrets: not in anything that a run prints or writes, nor in Ray's logs, nor in any command line (`ps`)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from jobs.storage.open import open_objects
from tests.jobs.compress.workplace import Workplace, table
from tests.s3_server import S3Server

PLANTED = {
    "AWS_SESSION_TOKEN_OF_SOMEBODY": "planted-session-8a1f",
    "HF_TOKEN": "planted-hf-77c0",
    "DB_PASSWORD": "planted-db-19e2",
}


@pytest.fixture
def ray_folder() -> Iterator[Path]:
    """A folder of its own for what Ray writes; short, as Ray makes sockets in it."""
    folder = Path(tempfile.mkdtemp(prefix="mx", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def holding(secrets: list[bytes], folder: Path) -> list[str]:
    """Files below the folder that hold one of the secrets."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return [str(path) for path in files if any(secret in path.read_bytes() for secret in secrets)]


@pytest.mark.slow
def test_planted_secrets_turn_up_nowhere(
    tmp_path: Path, s3: S3Server, bucket: str, ray_folder: Path, root: Path
) -> None:
    workplace = Workplace(tmp_path / "place")
    workplace.put("a.parquet", table(25, seed=1))
    broken = workplace.put("broken.parquet", table(5, seed=2))
    broken.write_bytes(broken.read_bytes()[:-20])
    assert workplace.adaptor
    source = open_objects(bucket, s3.options)
    for folder in ("source", "adaptor"):
        for path in (workplace.root / folder).rglob("*.*"):
            source.put_file(str(path.relative_to(workplace.root)), path)
    section = {"filesystem": s3.options.model_dump()}
    config = workplace.config(
        source={"uri": f"{bucket}/source", **section},
        adaptor={"uri": f"{bucket}/adaptor", **section},
        output={"uri": f"{bucket}/output", **section},
        reading={"bad_rows": "quarantine"},
    )
    (tmp_path / "config.json").write_text(config.model_dump_json())
    secrets = [value.encode() for value in (*PLANTED.values(), s3.environment["AWS_SECRET_ACCESS_KEY"])]
    command = [sys.executable, "-m", "jobs", "compress", str(tmp_path / "config.json")]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment = {**kept, **s3.environment, **PLANTED, "RAY_TMPDIR": str(ray_folder), "PYTHONPATH": str(root)}
    seen: set[str] = set()
    with open(tmp_path / "said", "wb") as said:
        driver = subprocess.Popen(command, env=environment, stdout=said, stderr=said, cwd=tmp_path)
        while driver.poll() is None:
            family = [psutil.Process(driver.pid), *psutil.Process(driver.pid).children(recursive=True)]
            for process in family:
                try:
                    seen.add(" ".join(process.cmdline()))
                except psutil.Error:
                    continue
            with suppress(subprocess.TimeoutExpired):
                driver.wait(timeout=0.1)
    text = (tmp_path / "said").read_text()
    assert driver.returncode == 1, text
    assert "broken.parquet is truncated" in text
    assert len(seen) > 5
    assert not [line for line in seen if any(secret.decode() in line for secret in secrets)]
    assert sum(1 for _ in ray_folder.rglob("*.log")) > 5
    shutil.rmtree(workplace.root)  # the inputs; what is left is what the run wrote here
    assert holding(secrets, tmp_path) == []
    assert holding(secrets, ray_folder) == []
    written = [info.key for info in source.list("output/")]
    assert any("_failed/" in key for key in written)
    assert not [key for key in written if any(secret in source.read(key) for secret in secrets)]
