"""JSON log lines: every line parses, says which job it is of, and failures say shard, attempt and reason."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import ray

from jobs.commits.failures import Cause
from jobs.commits.work_items import WorkItem
from jobs.compress.metrics import Metrics
from jobs.compress.report import Result
from jobs.runtime.json_logs import JsonFormatter, job_id
from jobs.runtime.progress import Progress
from jobs.sources.source import Shard
from tests.jobs.compress.workplace import Workplace, table


def lines(text: str) -> list[dict[str, Any]]:
    """The JSON objects of a log; everything in it must be one."""
    return [json.loads(line) for line in text.splitlines()]


def test_progress_and_events_are_json_objects() -> None:
    out = io.StringIO()
    with Progress("compress", total=2, unit="shards", log="json", stream=out) as progress:
        progress.advance(vectors=10)
        progress.event("done", shard="ü/a.parquet", attempt=1, reason=None)
        progress.note("one\nnote")
    first, done, note, last = lines(out.getvalue())
    assert (first["event"], first["done"], first["total"], first["unit"]) == ("progress", 0, 2, "shards")
    assert (done["event"], done["shard"], done["attempt"], "reason" in done) == ("done", "ü/a.parquet", 1, False)
    assert (note["event"], note["message"]) == ("note", "one\nnote")
    assert (last["event"], last["done"], last["vectors"]) == ("finished", 1, 10)
    assert {line["job"] for line in (first, done, note, last)} == {job_id()}
    assert all(line["command"] == "compress" and line["time"].endswith("+00:00") for line in (first, last))


def test_records_of_pythons_logging_look_alike() -> None:
    record = logging.LogRecord("cluster", logging.WARNING, "", 0, "the workers ask for %g cores", (4,), None)
    line = json.loads(JsonFormatter("fit").format(record))
    assert (line["command"], line["event"], line["level"]) == ("fit", "log", "warning")
    assert line["message"] == "the workers ask for 4 cores"


def test_a_traceback_stays_with_its_record() -> None:
    try:
        raise KeyError("of a defect")
    except KeyError:
        record = logging.LogRecord("jobs", logging.ERROR, "", 0, "it broke", (), sys.exc_info())
    line = json.loads(JsonFormatter("fit").format(record))
    assert line["message"] == "it broke"
    assert "test_log_lines.py" in line["traceback"]
    assert line["traceback"].endswith("KeyError: 'of a defect'")


def test_ray_adds_nothing_to_the_lines_of_a_command(workplace: Workplace, tmp_path: Path) -> None:
    """In a process of its own, which starts and ends Ray."""
    config = tmp_path / "config.json"
    config.write_text(workplace.config(cluster={"log": "json"}).model_dump_json())
    command = [sys.executable, "-m", "jobs", "compress", str(config)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert ended.returncode == 0, ended.stderr
    assert {line["event"] for line in lines(ended.stderr)} <= {"progress", "done", "finished", "log"}


@pytest.mark.usefixtures("ray_cluster")
def test_a_run_tells_what_became_of_each_shard(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    broken = workplace.put("broken.parquet", table(5, seed=2))
    broken.write_bytes(broken.read_bytes()[:-20])
    assert workplace.compress(reading={"bad_rows": "quarantine"}, cluster={"log": "json"}) == 1
    said = lines(capsys.readouterr().err)
    (failed,) = [line for line in said if line["event"] == "failed"]
    assert (failed["shard"], failed["attempt"], failed["reason"]) == ("broken.parquet", 1, "data")
    assert "is truncated" in failed["message"]
    done = {line["shard"]: line["rows_out"] for line in said if line["event"] == "done"}
    assert done == {"a.parquet": 25, "sub/b.parquet": 31, "sub/c.parquet": 3}
    summary = json.loads(workplace.output_version().read("summary.json"))
    assert summary["job"] == job_id()
    assert summary["worker_seconds"].keys() == {"transform", "commit"}
    broken.unlink()
    workplace.put("new.parquet", table(7, seed=3))
    assert workplace.compress() == 0
    whole = json.loads(workplace.output_version().read("summary.json"))["output_version"]
    assert (whole["work_items"], whole["rows_out"], whole["unreadable_records"]) == (4, 66, 0)
    assert whole["output_bytes"] == sum(record.output_bytes for record in workplace.records())


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_metrics_reach_rays_exporter() -> None:
    metrics = Metrics()
    item = WorkItem(Shard("secret-name.parquet", 100, "1"), None, 100)
    metrics.count(Result(item, Cause("crash", "it died", 2), 2, 1.5, {}))
    node = ray.nodes()[0]  # type: ignore[no-untyped-call]
    address = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    deadline = time.monotonic() + 60
    text = ""
    while 'status="crash"' not in text and time.monotonic() < deadline:  # others may have counted before
        time.sleep(1)
        with urllib.request.urlopen(address, timeout=10) as answer:
            text = answer.read().decode()
    ours = [line for line in text.splitlines() if "matryoshka" in line]
    assert any("work_items" in line and 'status="crash"' in line and line.endswith(" 1.0") for line in ours), ours
    assert not [line for line in ours if "secret-name" in line]
