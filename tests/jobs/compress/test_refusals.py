"""Shards that S3 refuses to give, and a store that throttles: one costs its own work item, the other only time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from jobs.commits.failures import Cause
from jobs.compress.attempts import Attempts
from jobs.config.compress import CompressConfig
from jobs.config.sections import FilesystemOptions
from jobs.storage.objects import Objects
from jobs.storage.open import open_objects
from tests.benchmarks.fault_proxy import FaultProxy
from tests.jobs.compress.workplace import Workplace
from tests.s3_server import S3Server

DRIVER = """
import sys
from jobs.compress import command as compress
from jobs.config.compress import CompressConfig
sys.exit(compress.run(CompressConfig.model_validate_json(sys.argv[1])))
"""


@dataclass(frozen=True)
class Job:
    """The workplace's source and adaptor in a bucket, behind a proxy."""

    root: Path
    bucket: str
    proxy: FaultProxy
    objects: Objects

    def compress(self, **sections: Any) -> int:
        """Run compress with two workers in a process of its own; the exit code. `sections` are added."""
        options = FilesystemOptions(endpoint=self.proxy.endpoint, attempts=2, request_timeout_seconds=20)
        section = {"filesystem": options.model_dump()}
        given = {
            "source": {"uri": f"{self.bucket}/source", **section},
            "adaptor": {"uri": f"{self.bucket}/adaptor", **section},
            "output": {"dim": 5, "uri": f"{self.bucket}/output", **section},
            "cluster": {"workers": 2},
        }
        config = CompressConfig.model_validate(given | sections).model_dump_json()
        variables = {**os.environ, "PYTHONPATH": str(self.root)}
        return subprocess.run([sys.executable, "-c", DRIVER, config], cwd=self.root, env=variables).returncode

    def summary(self) -> dict[str, Any]:
        """That of the last run."""
        (key,) = [info.key for info in self.objects.list("output/") if info.key.endswith("/summary.json")]
        content: dict[str, Any] = json.loads(self.objects.read(key))
        return content


@pytest.fixture
def job(workplace: Workplace, s3: S3Server, bucket: str, root: Path) -> Iterator[Job]:
    """A job over the three shards `a.parquet`, `sub/b.parquet`, `sub/c.parquet`."""
    objects = open_objects(bucket, s3.options)
    for folder in ("source", "adaptor"):
        assert workplace.adaptor
        for path in (workplace.root / folder).rglob("*.*"):
            objects.put_file(str(path.relative_to(workplace.root)), path)
    with FaultProxy(s3.endpoint, seed=1) as proxy:
        yield Job(root, bucket, proxy, objects)


def test_a_refused_shard_is_its_own_failure(job: Job) -> None:
    """Also where it is described: shards are larger than `split_bytes`."""
    reading = {"split_bytes": 1000}
    job.proxy.objects = {"source/sub/b.parquet": "archived", "source/sub/c.parquet": "forbidden"}
    assert job.compress(reading=reading) == 1  # with reading.bad_rows: stop
    summary = job.summary()
    assert summary["work_items_failed_by_reason"] == {"data": 0, "refused": 2, "outage": 0, "crash": 0, "timeout": 0}
    reasons = {note["shard"]: note["reason"] for note in summary["failed"]}
    assert "archived (GLACIER, DEEP_ARCHIVE): restore it" in reasons["sub/b.parquet"]
    assert "refused (AccessDenied)" in reasons["sub/c.parquet"]
    assert summary["rows_out"] == 25
    assert len([info for info in job.objects.list("output/") if "/_failed/" in info.key]) == 2

    job.proxy.objects = {}
    assert job.compress(reading=reading) == 0
    assert job.summary()["output_version"]["rows_out"] == 59
    assert not [info for info in job.objects.list("output/") if "/_failed/" in info.key]


@pytest.mark.slow  # 30 s, of which the store throttles 12
def test_a_store_that_throttles_costs_time_only(job: Job) -> None:
    """From its first read on nothing of the source is served for some seconds: longer than the clients try."""

    def throttle() -> None:
        """Wait for the run to write its first file, then throttle for a while."""
        while not any("config.json" in line and line.startswith("PUT") for line, _ in job.proxy.heads):
            time.sleep(0.02)
        job.proxy.objects = {"source/": "503"}
        while not job.proxy.injected["503"]:
            time.sleep(0.02)
        time.sleep(12)
        job.proxy.objects = {}

    thread = threading.Thread(target=throttle)
    thread.start()
    assert job.compress() == 0
    thread.join()
    assert job.proxy.injected["503"]
    assert job.summary()["output_version"]["rows_out"] == 59


def test_workers_wait_together_and_longer_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    attempts = Attempts(timeout_seconds=1e9, kill=lambda worker: None)
    assert attempts.begin("a", None).wait == 0
    assert attempts.begin("b", None).wait == 0
    first = attempts.throttled("a")
    assert first > 0
    assert attempts.throttled("b") == first  # under way before: the same wait
    assert attempts.begin("c", None).wait == first
    now += first / 2
    assert attempts.begin("d", None).wait == first / 2
    now += first / 2
    assert attempts.begin("e", None).wait == 0
    assert attempts.throttled("a") == 2 * first
    for _ in range(10):
        now += 100
        longest = attempts.throttled("a")
    assert longest == 60
    now += 100
    attempts.end("a", "done")
    attempts.end("b", Cause("outage", "", 1))
    assert attempts.throttled("c") == longest  # one success halves it, the next refusal doubles it


def test_the_wait_is_no_time_without_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    attempts = Attempts(timeout_seconds=10, kill=lambda worker: None)
    attempts.begin("a", "worker")
    wait = attempts.throttled("a")
    assert attempts._running["a"][1] == now + wait + 10
