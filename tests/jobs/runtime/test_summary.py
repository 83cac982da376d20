"""The summary that a command leaves beside its output."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.config.sections import FilesystemOptions
from jobs.runtime.summary import versions, write_summary
from jobs.storage.open import open_objects
from jobs.version import VERSION


def written(folder: Path, numbers: dict[str, Any]) -> dict[str, Any]:
    returned = write_summary(open_objects(str(folder), FilesystemOptions()), "compress", numbers, time.time() - 2)
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
