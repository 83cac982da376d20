"""A job that starts on the nodes that are there, grows as others join, and outlives those that vanish."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.head_node import environment
from tests.jobs.compress.workplace import Workplace, table


def _namespaces_allowed() -> bool:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    made = subprocess.run(["ip", "netns", "add", "mprobe"], capture_output=True).returncode == 0
    return made and subprocess.run(["ip", "netns", "del", "mprobe"], capture_output=True).returncode == 0


@pytest.mark.slow  # a minute: four raylets, which come and go
@pytest.mark.parametrize("place", ["here", "namespaces"])
def test_workers_join_and_leave_a_running_job(place: str, tmp_path: Path, root: Path) -> None:
    if place == "namespaces" and not _namespaces_allowed():
        pytest.skip("network namespaces need root and iproute2")
    workplace = Workplace(tmp_path)
    for number in range(120):
        workplace.put(f"{number:03}.parquet", table(3, seed=number))
    config = workplace.config(cluster={"workers": {"min": 1, "max": 3}})
    ended = subprocess.run(
        [
            sys.executable,
            str(root / "tests/cluster/elastic_driver.py"),
            config.model_dump_json(),
            str(tmp_path / "seen"),
            place,
        ],
        cwd=root,
        env=environment(None, PYTHONPATH=str(root), RAY_AUTH_MODE="disabled"),
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    told = json.loads(ended.stdout.splitlines()[-1])
    assert told["status"] == 0
    assert told["nodes"] >= 2  # the one that joined did its share
    assert told["addresses"] == (1 if place == "here" else told["nodes"])
    assert sum(record.rows_out for record in workplace.records()) == 360
    assert workplace.verify()[0] == 0
