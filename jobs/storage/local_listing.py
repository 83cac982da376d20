"""Files below a folder of a local disk. Links are followed; broken ones, and what is no file, are passed over."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from adaptor.errors import InputError
from jobs.storage.objects import ObjectInfo

#: What a path to no file gives; ELOOP is a link to itself.
_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
#: Prefix of files being written; `list` hides them, and one left behind by a kill is harmless.
TEMPORARY = ".tmp-"


@contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """`FileNotFoundError` when nothing is at `path`, `InputError` when it cannot be read."""
    try:
        yield
    except OSError as error:
        if error.errno in _ABSENT:
            raise FileNotFoundError(path) from error
        raise InputError(f"{path} cannot be read: {error.strerror}; make it readable or remove it") from error


def status_of(path: str | Path) -> os.stat_result | None:
    """The status of what is at `path`, links followed; None when nothing is."""
    with suppress(FileNotFoundError), reading(path):
        return os.stat(path)
    return None


def walk(folder: Path, prefix: str, above: tuple[str, ...] = ()) -> Iterator[ObjectInfo]:
    """Files below `folder`, following links to folders but never into a folder that contains them."""
    real = os.path.realpath(folder)
    if real in above:
        return
    entries: list[os.DirEntry[str]] = []
    with suppress(FileNotFoundError), reading(folder), os.scandir(folder) as scan:
        entries += scan
    for entry in entries:
        status = None if entry.name.startswith(TEMPORARY) else status_of(entry.path)
        if status is not None and stat.S_ISDIR(status.st_mode):
            yield from walk(Path(entry.path), f"{prefix}{entry.name}/", (*above, real))
        elif status is not None and stat.S_ISREG(status.st_mode):  # to open a pipe or a device may take for ever
            yield ObjectInfo(f"{prefix}{entry.name}", status.st_size, str(status.st_mtime_ns))
