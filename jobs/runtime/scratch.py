"""Local folders for files on their way to the source; those of killed processes are swept up by the next one."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from adaptor.errors import RunError

_LOCK = "lock"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A fresh folder below the system's temporary folder (TMPDIR), removed at the end."""
    while True:
        folder = _fresh()
        try:
            with _locked(folder) as lock:
                if not os.path.exists(lock.name):  # a sweeper came between making the lock and taking it
                    continue
                yield folder
                return
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def sweep() -> None:
    """Remove the folders whose process is gone."""
    folders: list[Path] = []
    with suppress(OSError):  # whoever needs a folder there will say what is wrong
        home = _home()
        folders = list(home.iterdir()) if home is not None else []
    for folder in folders:
        try:
            with open(folder / _LOCK, "rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # in use, not made completely yet, or swept by a neighbour
            continue


def _fresh() -> Path:
    """A new folder that nobody else may enter: in the one that is swept, or beside it where that is not ours alone."""
    with _told():
        return Path(tempfile.mkdtemp(prefix="matryoshka-", dir=_home()))


def _locked(folder: Path) -> BinaryIO:
    """The folder's lock, taken. It goes with the process, however that ends: whoever can take it knows that the owner
    is gone."""
    with _told():
        lock = open(folder / _LOCK, "xb")  # noqa: SIM115  # for the caller to close
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:
            lock.close()
            raise
        return lock


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RunError(
            f"no scratch folder can be made ({error}): free space in the temporary folder, or set TMPDIR to a folder "
            "on a local disk that this user may write to"
        ) from error


def _home() -> Path | None:
    """The folder of this user's scratch folders; None where somebody else has made it, or may write into it.

    Its name is known, and the temporary folder everybody's: who owned it could swap files before they are uploaded.
    """
    home = Path(tempfile.gettempdir()) / f"matryoshka-{os.getuid()}"
    with suppress(FileExistsError):
        home.mkdir(mode=0o700)
    there = os.lstat(home)
    ours = stat.S_ISDIR(there.st_mode) and there.st_uid == os.geteuid() and not there.st_mode & 0o077
    return home if ours else None
