"""Local folders for files on their way to the store; those of killed processes are swept up by the next one."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOCK = "lock"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A fresh folder below the system's temporary folder (TMPDIR), removed at the end."""
    while True:
        folder = Path(tempfile.mkdtemp(dir=_home()))
        try:
            # The lock goes with the process, however it ends: whoever can take it knows that the owner is gone.
            with open(folder / _LOCK, "xb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not os.path.exists(lock.name):  # a sweeper came between making the lock and taking it
                    continue
                yield folder
                return
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def sweep() -> None:
    """Remove the folders whose process is gone."""
    for folder in _home().iterdir():
        try:
            with open(folder / _LOCK, "rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # in use, not made completely yet, or swept by a neighbour
            continue


def _home() -> Path:
    home = Path(tempfile.gettempdir()) / f"matryoshka-{os.getuid()}"
    home.mkdir(mode=0o700, exist_ok=True)
    return home
