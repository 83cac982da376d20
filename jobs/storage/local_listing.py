"""What lies below a folder of a local disk: links are followed; those that lead to nothing, and what is no file, are
passed over."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from adaptor.errors import InputError
from jobs.storage.objects import ObjectInfo

#: What a path to no file gives; the last one, a link that leads to itself.
NOWHERE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
#: Files being written; `list` hides them, and one left behind by a kill is harmless.
TEMPORARY = ".tmp-"


def status_of(path: str | Path) -> os.stat_result | None:
    """What is there, links followed, or None; `InputError` when that cannot be told."""
    try:
        return os.stat(path)
    except OSError as error:
        if error.errno in NOWHERE:
            return None
        raise InputError(f"{path} cannot be looked at: {error.strerror}") from error


def walk(folder: Path, prefix: str, above: tuple[str, ...]) -> Iterator[ObjectInfo]:
    """Files below `folder`, following links to folders but never into a folder that contains them."""
    real = os.path.realpath(folder)
    if real in above:
        return
    try:
        with os.scandir(folder) as scan:
            entries = list(scan)
    except OSError as error:
        if error.errno in NOWHERE:  # its last file was deleted, and the folder with it
            return
        raise InputError(f"folder {folder} cannot be listed: {error.strerror}") from error
    for entry in entries:
        if entry.name.startswith(TEMPORARY):
            continue
        try:
            if entry.is_dir():
                yield from walk(Path(entry.path), f"{prefix}{entry.name}/", (*above, real))
                continue
            status = entry.stat()
        except OSError as error:
            if error.errno not in NOWHERE:  # deleted while it was listed, or a link to nothing
                raise InputError(
                    f"{entry.path} cannot be looked at: {error.strerror}; make it readable or remove it"
                ) from error
            continue
        if stat.S_ISREG(status.st_mode):  # to open a pipe or a device may take for ever
            yield ObjectInfo(f"{prefix}{entry.name}", status.st_size, str(status.st_mtime_ns))
