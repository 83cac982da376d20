"""SIGKILL wherever it hurts: the re-run completes, and its bytes are those of an undisturbed run."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from jobs.commits.failures import FAILED, AttemptCount, Cause, note_attempts, noted_attempts
from jobs.commits.ledger import LedgerRecord
from jobs.commits.names import LEDGER
from jobs.commits.output_version import claim, describe
from jobs.commits.work_items import WorkItem
from jobs.compress.attempts import Attempt, Attempts
from jobs.compress.shard import ShardCompressor
from jobs.compress.worker import CompressShards
from tests.jobs.compress.workplace import Workplace, table

pytestmark = pytest.mark.usefixtures("ray_cluster")

DRIVER = """
import sys
from jobs.compress import command as compress
from jobs.config.compress import CompressConfig
sys.exit(compress.run(CompressConfig.model_validate_json(sys.argv[1])))
"""


def undisturbed(workplace: Workplace) -> dict[str, bytes]:
    """Outputs and records of a run that nobody disturbs, in another place."""
    output = {"uri": str(workplace.root / "undisturbed")}
    assert workplace.compress(output=output) == 0
    return workplace.bytes_below("data/", LEDGER, output=output)


@pytest.mark.parametrize("moment", ["at the start", "between output and record"])
def test_a_killed_actor_costs_one_attempt(workplace: Workplace, tmp_path: Path, moment: str) -> None:
    mark = str(tmp_path / "killed")

    class Dying(CompressShards):
        def compress(self, item: WorkItem) -> LedgerRecord:
            import jobs.commits.commit as committing

            def die(*_: object) -> LedgerRecord:
                Path(mark).touch()
                os.kill(os.getpid(), signal.SIGKILL)
                raise AssertionError

            if item.shard.key == "a.parquet" and not os.path.exists(mark):
                if moment == "at the start":
                    die()
                vars(committing)["commit"] = die
            return super().compress(item)

    reading = {"batch_rows": 50_000}  # the second attempt takes the smallest
    assert workplace.compress(Dying, reading=reading, cluster={"workers": 2}) == 0
    assert os.path.exists(mark)
    assert workplace.bytes_below("data/", LEDGER) == undisturbed(workplace)


def summary(workplace: Workplace) -> dict[str, Any]:
    """The summary of the last run."""
    content: dict[str, Any] = json.loads(workplace.output_version().read("summary.json"))
    return content


def test_a_shard_that_kills_its_worker_fails_alone(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    class Poisoned(CompressShards):
        def compress(self, item: WorkItem) -> LedgerRecord:
            if item.shard.key == "sub/b.parquet":
                os._exit(1)
            return super().compress(item)

    assert workplace.compress(Poisoned, reading={"attempts": 2}, cluster={"workers": 2}) == 1
    (failure,) = summary(workplace)["failed"]
    assert (failure["shard"], failure["kind"], failure["attempts"]) == ("sub/b.parquet", "crash", 2)
    assert summary(workplace)["work_items_failed_by_reason"] == {
        "data": 0,
        "refused": 0,
        "outage": 0,
        "crash": 1,
        "timeout": 0,
    }
    assert "sub/b.parquet killed its worker 2 times" in capsys.readouterr().out
    assert [record.shard for record in workplace.records()] == ["a.parquet", "sub/c.parquet"]
    (kept,) = workplace.bytes_below(FAILED).values()
    assert json.loads(kept) | failure == json.loads(kept) | {"shard": "sub/b.parquet"}
    workplace.put("new.parquet", table(4, seed=7))
    assert workplace.compress(reading={"retry_failed": True}) == 1  # what failed is done, what is new is left
    assert (summary(workplace)["work_items_done"], summary(workplace)["work_items_left"]) == (1, 1)
    assert "1 work item left" in capsys.readouterr().out
    assert workplace.bytes_below(FAILED) == {}
    (workplace.source / "new.parquet").unlink()
    assert workplace.compress(reading={"retry_failed": True}) == 0
    assert workplace.bytes_below("data/", LEDGER) == undisturbed(workplace)


def test_crashes_are_remembered_and_what_is_done_is_not_done_again(
    workplace: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, there, tried = workplace.config(), workplace.output_version(), tmp_path / "tried"
    claim(there, describe(config.source, workplace.adaptor, config.output))
    items = [WorkItem(shard, None, shard.size) for shard in workplace.shards()]
    ShardCompressor(config).compress(items[1])
    there.delete(items[1].output)  # its record stands, but is not to be relied on
    note_attempts(there, items[2].record, AttemptCount(1, 0))  # by a run whose driver died
    monkeypatch.setattr("jobs.compress.worker.blocks", lambda items, *_: [list(items)])

    class Poisoned(CompressShards):
        def compress(self, item: WorkItem) -> LedgerRecord:
            with open(tried, "a") as file:
                file.write(f"{item.shard.key} {[*noted_attempts(there).values()]}\n")
            if item.shard.key == "sub/c.parquet":
                os._exit(1)
            return super().compress(item)

    assert workplace.compress(Poisoned, reading={"attempts": 3}) == 1
    (failure,) = summary(workplace)["failed"]
    assert (failure["shard"], failure["kind"], failure["attempts"]) == ("sub/c.parquet", "crash", 3)
    notes = [f"sub/c.parquet [AttemptCount(begun={times}, timed_out=0)]" for times in (2, 3)]
    before = [f"{key} [AttemptCount(begun=1, timed_out=0)]" for key in ("sub/b.parquet", "a.parquet")]
    assert tried.read_text().splitlines() == [*before, *notes]
    assert noted_attempts(there) == {}


def test_a_shard_that_takes_the_driver_down_is_given_up_in_the_end(workplace: Workplace) -> None:
    """The first attempt kills its worker, every later one the driver, too."""
    config, there = workplace.config(reading={"attempts": 3}), workplace.output_version()
    claim(there, describe(config.source, workplace.adaptor, config.output))
    shard = workplace.shards()[0]
    item, begun_by_runs = WorkItem(shard, None, shard.size), []

    class Death(BaseException):
        pass

    class Deadly(CompressShards):
        def compress(self, item: WorkItem) -> LedgerRecord:
            raise Death

    worker, outcome = Deadly(config.model_dump_json(), None), None
    while outcome is None:
        # These workers never end and are none of Ray's: the watch, which outlives the test, must not kill them.
        attempts = Attempts(100.0, noted_attempts(there), kill=lambda worker: None)
        attempt = attempts.begin(item.record.key, "worker")
        if attempt.number == 1:  # the driver lives on
            attempt = attempts.begin(item.record.key, "next worker")
        begun_by_runs.append(attempt.number)
        assert len(begun_by_runs) < 9
        with contextlib.suppress(Death):
            outcome = worker._outcome(item, attempt)
    assert begun_by_runs == [2, 3, 4]
    assert isinstance(outcome, Cause)
    assert (outcome.kind, outcome.attempts) == ("crash", 3)


@pytest.mark.parametrize("how", ["asleep", pytest.param("stopped", marks=pytest.mark.slow)])
def test_a_shard_that_hangs_is_timed_out_and_the_others_finish(workplace: Workplace, how: str) -> None:
    class Hanging(CompressShards):
        def compress(self, item: WorkItem) -> LedgerRecord:
            if item.shard.key == "sub/b.parquet":
                if how == "stopped":
                    os.kill(os.getpid(), signal.SIGSTOP)
                time.sleep(1000)
            return super().compress(item)

    assert workplace.compress(Hanging, reading={"attempts": 2, "timeout_seconds": 2}, cluster={"workers": 2}) == 1
    (failure,) = summary(workplace)["failed"]
    assert (failure["kind"], failure["attempts"]) == ("timeout", 2)
    assert failure["reason"].startswith(
        "sub/b.parquet made no progress for 2 s, 2 times: raise reading.timeout_seconds"
    )
    assert [record.shard for record in workplace.records()] == ["a.parquet", "sub/c.parquet"]


def test_the_watch_kills_those_that_are_late_and_only_them() -> None:
    killed: list[str] = []
    attempts = Attempts(0.2, {"begun before": AttemptCount(2, 1)}, kill=killed.append)
    assert attempts.begin("hangs", "worker 1") == Attempt(1, 0)
    attempts.begin("ends", "worker 2")
    attempts.end("ends", "done")
    attempts.begin("fails", "worker 3")
    attempts.end("fails", Cause("data", "damaged", 1))
    time.sleep(0.6)
    assert killed == ["worker 1"]
    assert attempts.begin("hangs", "worker 4") == Attempt(2, 1, None)
    assert attempts.begin("fails", "worker 5") == Attempt(2, 0, Cause("data", "damaged", 1))
    assert attempts.begin("ends", "worker 6") == Attempt(2, 0, "done")
    assert attempts.begin("begun before", "worker 7") == Attempt(3, 1)
    for key in ("hangs", "fails", "ends", "begun before"):
        attempts.end(key, "done")


def test_the_watch_lets_live_who_gets_on() -> None:
    killed: list[str] = []
    attempts = Attempts(0.6, kill=killed.append)
    attempts.begin("slow", "worker 1")
    attempts.begin("hangs", "worker 2")
    for _ in range(6):
        time.sleep(0.2)
        attempts.extend("slow")
    attempts.extend("hangs")  # too late: it is not watched any more
    assert killed == ["worker 2"]
    attempts.end("slow", "done")
    attempts.end("slow", "done")


@pytest.mark.timeout(240)
def test_a_killed_driver_leaves_what_is_done_and_nothing_half_done(workplace: Workplace, root: Path) -> None:
    for number in range(60):
        workplace.put(f"more/{number:02}.parquet", table(200, seed=100 + number))
    arguments = [sys.executable, "-c", DRIVER, workplace.config(cluster={"workers": 2}).model_dump_json()]
    driver = subprocess.Popen(arguments, cwd=root, env={**os.environ, "PYTHONPATH": str(root)})
    try:
        deadline = time.monotonic() + 120
        while len(workplace.bytes_below(LEDGER)) < 3:
            assert driver.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        started = psutil.Process(driver.pid).children(recursive=True)
        actors = [process for process in started if "MapWorker" in process.name()]
        assert actors
    finally:
        driver.kill()
        driver.wait()
    _, alive = psutil.wait_procs(actors, timeout=60)
    for process in psutil.wait_procs(started, timeout=1)[1]:  # agents of Ray itself may outlive their node
        process.kill()
    assert not alive
    assert summary(workplace)["status"] == "failed"  # by its guardian
    done = workplace.bytes_below(LEDGER)
    assert len(done) < 63
    assert workplace.compress() == 0
    finished = workplace.bytes_below("data/", LEDGER)
    assert finished == undisturbed(workplace)
    assert done.items() <= finished.items()
    assert workplace.verify()[0] == 0
