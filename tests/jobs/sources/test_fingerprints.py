"""Fingerprints of ids, reading ahead, scratch folders: the small things that compress and verify stand on."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptor.errors import RunError
from jobs.runtime.read_ahead import read_ahead
from jobs.runtime.scratch import scratch_folder, sweep
from jobs.sources.fingerprints import doubled, fingerprints


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.text(max_size=6)))
def test_fingerprints_are_equal_exactly_when_the_ids_are(ids: list[str]) -> None:
    prints = fingerprints(pa.array(ids, pa.string())).tolist()
    assert len(set(zip(ids, prints, strict=True))) == len(set(ids)) == len(set(prints))


def test_types_and_slices_do_not_matter() -> None:
    numbers = [7, -3, 2**62, 0, 7]
    expected = fingerprints(pa.array([str(n) for n in numbers]))
    for kind in (pa.int64(), pa.large_string(), pa.string_view()):
        ids = pa.array([9, *numbers] if kind == pa.int64() else ["9", *map(str, numbers)], kind)
        np.testing.assert_array_equal(fingerprints(ids[1:]), expected)
    np.testing.assert_array_equal(fingerprints(pa.array([str(n) for n in numbers]).dictionary_encode()), expected)
    assert doubled(np.sort(expected)).tolist() == [expected[0]]


def test_a_million_short_ids_do_not_collide() -> None:
    assert len(np.unique(fingerprints(pa.array(np.arange(1_000_000))))) == 1_000_000


def test_read_ahead_keeps_order_and_raises_in_its_place() -> None:
    def items() -> Iterator[int]:
        yield from (1, 2, 3)
        raise ValueError("after three")

    coming = read_ahead(items())
    assert [next(coming) for _ in range(3)] == [1, 2, 3]
    with pytest.raises(ValueError, match="after three"):
        next(coming)
    assert list(read_ahead(iter([]))) == []


def test_scratch_of_killed_processes_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    killed = "import os, signal\nfrom jobs.runtime.scratch import scratch_folder\nwith scratch_folder() as f:\n"
    killed += "    (f / 'output').touch()\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    subprocess.run([sys.executable, "-c", killed], cwd=root, check=False)
    assert len(list(tmp_path.iterdir())) == 1
    with scratch_folder() as mine:
        sweep()
        assert list(tmp_path.iterdir()) == [mine]
    assert list(tmp_path.iterdir()) == []


def test_a_scratch_folder_that_is_swept_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    take, calls = fcntl.flock, []

    def late(file: Any, how: int) -> None:
        calls.append(how)
        if len(calls) == 1:
            sweep()
        take(file, how)

    monkeypatch.setattr("jobs.runtime.scratch.fcntl.flock", late)
    with scratch_folder() as mine:
        (mine / "output").write_text("kept")
        assert len(calls) == 3
    assert not mine.exists()


@pytest.mark.parametrize("squatter", ["file", "link", "unlocked", "foreign"])
def test_what_is_not_a_left_scratch_folder_of_ours_is_not_swept(
    squatter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary, theirs = tmp_path / "tmp", tmp_path / "theirs"
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    squatted = temporary / f"matryoshka-{os.getuid()}-squatted"
    for folder in (theirs, temporary):
        folder.mkdir(mode=0o700)
    (theirs / "lock").touch()
    if squatter == "file":
        squatted.write_text("")
    elif squatter == "link":
        squatted.symlink_to(theirs)
    else:
        squatted.mkdir(mode=0o700)
    if squatter == "foreign":
        (squatted / "lock").touch()
        monkeypatch.setattr("os.geteuid", lambda: os.getuid() + 1)
    sweep()
    with scratch_folder() as mine:
        assert mine.parent == temporary
        assert mine.stat().st_mode & 0o777 == 0o700
    assert list(temporary.iterdir()) == [squatted]
    assert [path.name for path in theirs.iterdir()] == ["lock"]


def test_a_scratch_folder_that_cannot_be_made_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    sweep()
    with pytest.raises(RunError, match=r"no scratch folder can be made .*absent.* set TMPDIR"), scratch_folder():
        pass
