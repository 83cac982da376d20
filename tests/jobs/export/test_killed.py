"""A real process that is killed between two batches; the next one goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.jobs.export.days import Day
from tests.jobs.export.engines import Engine, params

#: Runs the command, and kills itself (no handler, no goodbye) before the batch with this number.
PROGRAM = """
import os, signal, sys
from jobs.export import loading
from jobs.__main__ import main

left = int(sys.argv[1])
check = loading.check_id_length

def count(*given):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    check(*given)

loading.check_id_length = count
sys.exit(main(["export", *sys.argv[2:]]))
"""


@pytest.mark.parametrize("engine", params("lancedb", "pgvector", "elasticsearch"), indirect=True)
def test_a_killed_export_is_made_good_by_the_next(engine: Engine, name: str, tmp_path: Path, root: Path) -> None:
    day = Day(engine, name, tmp_path)
    day.maker.commit(day.first)
    assert run(day, root, 4) == -signal.SIGKILL  # a file is loaded, and a batch of the next
    assert run(day, root, 0) == 0
    day.check()
    day.maker.commit(day.second())
    assert run(day, root, 1) == -signal.SIGKILL
    assert run(day, root, 0) == 0
    day.check()


def run(day: Day, root: Path, kill_at: int) -> int:
    """The exit status of the command in a process of its own."""
    config = day.folder / "export.yaml"
    config.write_text(json.dumps(day.config().model_dump(mode="json")))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(kill_at), str(config)],
        cwd=root,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode <= 0, done.stderr
    return done.returncode
