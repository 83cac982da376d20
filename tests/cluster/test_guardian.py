"""The last words of a process that is gone without any, and the silence after every other end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

GUARDED = """
import os, signal, sys, time
from cluster import guardian
from cluster.guardian import guarded, leave
try:
    with guarded("fit", "job-1", sys.argv[1]):
        {what}
except (KeyError, KeyboardInterrupt):
    pass
"""
RUNNING = {"job": "job-1", "status": "running", "failed": ["zürich \udcff"]}


def run(root: Path, what: str, summary: Path) -> tuple[int, str, str]:
    """Run a guarded block: exit status, what was said until nobody holds standard error any more, and the status in the
    summary then. Both streams are pipes: a guardian that stayed would keep this waiting."""
    command = [sys.executable, "-c", GUARDED.format(what=what), str(summary)]
    ended = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=30)
    assert ended.stdout == ""
    return ended.returncode, ended.stderr, str(json.loads(summary.read_text())["status"])


@pytest.fixture
def summary(tmp_path: Path) -> Path:
    path = tmp_path / "summary.json"
    path.write_text(json.dumps(RUNNING))
    return path


@pytest.mark.parametrize(
    ("what", "status"),
    [
        ("os._exit(1)", 1),
        ("os.abort()", -signal.SIGABRT),
        ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
        ("os.setsid(); os.killpg(0, signal.SIGKILL)", -signal.SIGKILL),
        ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),  # nobody has taken it over
    ],
)
def test_who_says_nothing_has_it_said(what: str, status: int, root: Path, summary: Path) -> None:
    ended, said, state = run(root, what, summary)
    assert (ended, state) == (status, "failed")
    assert said.startswith("matryoshka fit: the process was killed or crashed")
    assert said.endswith("Run the same command again to go on\n")
    assert said.count("\n") == 1
    assert json.loads(summary.read_text()) == RUNNING | {"status": "failed"}
    assert [path.name for path in summary.parent.iterdir()] == ["summary.json"]


@pytest.mark.parametrize("what", ["pass", "raise KeyError", "raise KeyboardInterrupt"])
def test_an_end_in_order_is_silent_whoever_writes_the_summary(what: str, root: Path, summary: Path) -> None:
    assert run(root, what, summary) == (0, "", "running")


def test_who_has_explained_it_needs_no_words(root: Path, summary: Path) -> None:
    assert run(root, "leave(3)", summary) == (3, "", "failed")


def test_without_a_guardian_the_command_goes_on(root: Path, summary: Path) -> None:
    assert run(root, "os.kill(guardian._GUARDIANS[0].pid, signal.SIGKILL)", summary) == (0, "", "running")
    assert run(root, "os.kill(guardian._GUARDIANS[0].pid, signal.SIGKILL); leave(4)", summary)[0] == 4


@pytest.mark.parametrize(
    "text", ['{"job": "job-2", "status": "running"}', '{"job": "job-1", "status": "complete"}', "[]", "{"]
)
def test_what_is_not_its_own_unfinished_summary_is_left_alone(text: str, root: Path, summary: Path) -> None:
    summary.write_text(text)
    command = [sys.executable, "-c", GUARDED.format(what="os._exit(1)"), str(summary)]
    said = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=30).stderr
    assert said.startswith("matryoshka fit: the process was killed or crashed")
    assert said.count("\n") == 1
    assert summary.read_text() == text


def test_it_costs_milliseconds(root: Path, summary: Path) -> None:
    started = time.monotonic()
    assert run(root, "pass", summary) == (0, "", "running")
    assert time.monotonic() - started < 5
    before = os.times()
    for _ in range(10):
        program = [sys.executable, "-I", "-S", str(root / "cluster" / "guardian.py"), "fit", "job", "nowhere"]
        subprocess.run(program, input=b"in order", check=True)
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    assert spent < 10 * 0.2  # 10 to 20 ms each on an idle machine
