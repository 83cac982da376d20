"""SIGKILL in the middle of a fit: of a worker, and of the driver. The adaptor is that of an undisturbed run, to the
bit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

import adaptor
from jobs.config.loader import resolved
from jobs.fit import command as fit
from tests.jobs.fit.inputs import config, source

#: A checkpoint at every look; Ray Train takes one every two seconds, which is slow enough to hit the run in the middle.
SLOW = {
    "steps": 160,
    "evaluate_every": 40,
    "patience": 5000,
    "checkpoint_seconds": 0.0,
    "learning_rate": 1e-3,
}


def wait_for(what: Callable[[], bool], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.05)


def checkpoints(out: Path) -> int:
    """How many checkpoints Ray Train has taken note of: only those are gone back to."""
    snapshots = list(out.glob("_work/*/checkpoint_manager_snapshot.json"))
    return int(json.loads(snapshots[0].read_text() or "{}").get("current_report_index", 0)) if snapshots else 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return source(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def undisturbed(folder: Path, tmp_path_factory: pytest.TempPathFactory, ray_cluster: None) -> str:
    out = tmp_path_factory.mktemp("undisturbed")
    fit.run(config(folder, out, training=SLOW))
    return adaptor.load(out).adaptor_id


@pytest.mark.slow  # half a minute; tests/jobs/fit/test_launch.py has the quick ones
def test_a_killed_worker_is_replaced_and_goes_on(folder: Path, tmp_path: Path, undisturbed: str) -> None:
    killed: list[int] = []

    def kill() -> None:
        wait_for(lambda: checkpoints(tmp_path) >= 2)
        for process in psutil.process_iter(["cmdline"]):
            if "RayTrainWorker" in " ".join(process.info["cmdline"] or ()) and process.is_running():
                process.kill()
                killed.append(process.pid)

    killer = threading.Thread(target=kill)
    killer.start()
    assert fit.run(config(folder, tmp_path, training=SLOW)) == 0
    killer.join()
    assert killed
    assert adaptor.load(tmp_path).adaptor_id == undisturbed


@pytest.mark.slow  # more than a minute with the run it is compared with
def test_a_killed_driver_leaves_what_the_next_run_continues(folder: Path, tmp_path: Path, undisturbed: str) -> None:
    settings = tmp_path / "fit.json"
    out = tmp_path / "out"
    settings.write_text(resolved(config(folder, out, training=SLOW)))
    command = [sys.executable, "-m", "jobs", "fit", str(settings)]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    # Into files: Ray's processes would hold a pipe open after the driver has ended.
    with (tmp_path / "first").open("w") as log:
        driver = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, env=environment)
        wait_for(lambda: checkpoints(out) >= 2)
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
    assert not (out / "adaptor.json").exists()
    with (tmp_path / "second").open("w") as log:
        done = subprocess.run(command, stdout=log, stderr=log, env=environment, timeout=110)
    said = (tmp_path / "second").read_text()
    assert done.returncode == 0, said
    assert "continues" in said
    assert adaptor.load(out).adaptor_id == undisturbed
