"""The summary that a command leaves beside its output."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adaptor.errors import RunError
from jobs.config.sections import FilesystemOptions
from jobs.runtime.summary import says_complete, summarised, versions, write_summary
from jobs.storage.objects import Objects
from jobs.storage.open import open_objects
from jobs.version import VERSION


def opened(folder: Path) -> Objects:
    return open_objects(str(folder), FilesystemOptions())


def status(folder: Path) -> str:
    return str(json.loads((folder / "summary.json").read_text())["status"])


def written(folder: Path, numbers: dict[str, Any]) -> dict[str, Any]:
    returned = write_summary(opened(folder), "compress", numbers, time.time() - 2)
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    assert summary == returned
    return summary


def test_it_holds_what_was_counted_and_with_what(tmp_path: Path) -> None:
    summary = written(tmp_path, {"rows": np.int64(5), "adaptor_id": "ab", "dims": (16, 32), "shards": {"done": 3}})
    assert (summary["command"], summary["status"]) == ("compress", "complete")
    assert (summary["rows"], summary["adaptor_id"]) == (5, "ab")
    assert (summary["dims"], summary["shards"]) == ([16, 32], {"done": 3})
    assert 2 <= summary["seconds"] < 60
    assert summary["versions"]["matryoshka-adaptor"] == VERSION
    assert {"ray", "torch", "pyarrow", "numpy", "python"} <= summary["versions"].keys()


def test_numbers_that_json_lacks_are_null(tmp_path: Path) -> None:
    summary = written(tmp_path, {"loss": float("nan"), "best": np.float32("inf"), "list": [np.float64(0.5)]})
    assert (summary["loss"], summary["best"], summary["list"]) == (None, None, [0.5])


def test_texts_that_are_not_utf8_are_escaped(tmp_path: Path) -> None:
    assert written(tmp_path, {"failures": ["\udcff.parquet", "zürich"]})["failures"] == ["\udcff.parquet", "zürich"]


def test_a_later_summary_replaces_the_first(tmp_path: Path) -> None:
    written(tmp_path, {"status": "incomplete"})
    assert written(tmp_path, {"status": "failed"})["status"] == "failed"


def test_an_unknown_status_is_a_defect(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="status is 'done', expected one of complete, incomplete, failed"):
        written(tmp_path, {"status": "done"})


def test_libraries_that_are_not_installed_are_left_out() -> None:
    assert "faiss-gpu" not in versions() or "faiss-cpu" not in versions()


def test_it_is_true_from_the_start_of_a_command_to_its_end(tmp_path: Path) -> None:
    assert not says_complete(opened(tmp_path))
    with summarised(opened(tmp_path), "compress", time.time(), shards=3) as numbers:
        summary = json.loads((tmp_path / "summary.json").read_text())
        assert (summary["command"], summary["status"], summary["shards"]) == ("compress", "running", 3)
        numbers["rows"] = 7
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["status"], summary["shards"], summary["rows"]) == ("complete", 3, 7)
    assert says_complete(opened(tmp_path))
    with summarised(opened(tmp_path), "compress", time.time()) as numbers:
        assert not says_complete(opened(tmp_path))
        numbers["status"] = "incomplete"
    assert status(tmp_path) == "incomplete"


@pytest.mark.parametrize("problem", [KeyError, RunError, KeyboardInterrupt, SystemExit])
def test_an_exception_fails_it_whatever_was_counted(problem: type[BaseException], tmp_path: Path) -> None:
    def fails() -> None:
        with summarised(opened(tmp_path), "fit", time.time()) as numbers:
            numbers |= {"rows": 7, "status": "complete"}
            raise problem

    with pytest.raises(problem):
        fails()
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["status"], summary["rows"]) == ("failed", 7)


DYING = """
import os, signal, sys, time
from jobs import cli
from jobs.__main__ import main
from jobs.config.sections import FilesystemOptions
from jobs.runtime.summary import summarised
from jobs.storage.open import open_objects
class Dying:
    def run(self, config):
        with summarised(open_objects(config.output.uri, FilesystemOptions()), "fit", time.time()):
            print("running", flush=True)
            {what}
        return 0
cli.import_module = lambda name: Dying()
sys.exit(main(["fit", "--source.uri", "in", "--output.uri", sys.argv[1]]))
"""


@pytest.mark.parametrize(
    ("what", "ended", "words"),
    [
        ("os._exit(1)", 1, "matryoshka fit: the process was killed or crashed"),
        ("os.abort()", -signal.SIGABRT, "matryoshka fit: the process was killed or crashed"),
        ("time.sleep(60)", -signal.SIGKILL, "matryoshka fit: the process was killed or crashed"),
        ("os.kill(os.getpid(), signal.SIGINT)", 130, "matryoshka fit: interrupted; run the same command again"),
        ("from adaptor.errors import RunError; raise RunError('no luck')", 1, "matryoshka fit: no luck"),
    ],
)
def test_a_command_that_dies_has_failed_and_says_so_in_one_line(
    what: str, ended: int, words: str, tmp_path: Path, root: Path
) -> None:
    command = [sys.executable, "-c", DYING.format(what=what), str(tmp_path)]
    with subprocess.Popen(
        command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        if ended == -signal.SIGKILL:
            os.killpg(process.pid, signal.SIGKILL)  # its guardian is not of its group
        _, said = process.communicate(timeout=30)
    assert process.returncode == ended
    assert said.startswith(words)
    assert said.count("\n") == 1
    assert status(tmp_path) == "failed"
