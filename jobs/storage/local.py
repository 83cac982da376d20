"""Objects on local disk (or any mounted filesystem): temp file, fsync, then one atomic rename or link."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pyarrow.fs as pafs

from adaptor.errors import InputError, RunError
from jobs.config.uris import local_path
from jobs.storage.local_listing import TEMPORARY, reading, status_of, walk
from jobs.storage.objects import AbsentError, ObjectInfo, Objects, checked_key

#: Attempts at making a file in a folder that others empty, and so remove, at the same time.
_RACES = 100


class LocalObjects(Objects):
    """The files below a folder. Folders are made with their first file and removed with their last."""

    def __init__(self, uri: str) -> None:
        try:
            self.root = local_path(uri)
        except ValueError as problem:
            raise InputError(f"uri {uri!r} {problem}") from problem
        self.uri = uri
        self.arrow = pafs.LocalFileSystem()

    def path(self, key: str) -> str:
        """Absolute path of `key`."""
        return str(self.root / checked_key(key))

    def _list(self, prefix: str) -> Iterator[ObjectInfo]:
        if os.path.isfile(self.root):  # not pathlib's: it raises where the folder above may not be entered
            raise InputError(f"{self.uri} is a file, not a folder: give the folder that holds it")
        folder = prefix[: prefix.rfind("/") + 1]
        yield from (info for info in walk(self.root / folder, folder) if info.key.startswith(prefix))

    def stat(self, key: str) -> ObjectInfo | None:
        """Size and modification time now; None when there is no such file."""
        status = status_of(self.path(key))
        if status is None or not stat.S_ISREG(status.st_mode):
            return None
        return ObjectInfo(key, status.st_size, str(status.st_mtime_ns))

    def _read(self, key: str) -> bytes:
        path = Path(self.path(key))
        with reading(path):
            return path.read_bytes()

    def put(self, key: str, content: bytes) -> None:
        """Write beside the target, fsync, rename over it."""
        self._commit(key, lambda path: _write(path, content), os.replace)

    def put_file(self, key: str, local: Path) -> None:
        """Link or copy to beside the target, fsync, rename over it."""
        self._commit(key, lambda path: _link_or_copy(local, path), os.replace)

    def put_new(self, key: str, content: bytes) -> bool:
        """Write beside the target, fsync, hard-link to it: the link fails when the name is taken."""
        try:
            self._commit(key, lambda path: _write(path, content), os.link)
        except FileExistsError:
            return self._holds(key, content)
        return True

    def copy(self, key: str, to: str) -> None:
        """Link or copy."""
        if self.stat(key) is None:
            raise AbsentError(f"{self.uri}: {key} does not exist")
        self.put_file(to, Path(self.path(key)))

    def delete(self, key: str) -> None:
        """Remove the file and the folders that it leaves empty; absent is fine."""
        path = self._target(key)
        try:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                os.unlink(path)
        except OSError as error:
            raise _unwritable(path, error) from error
        for _ in range(key.count("/")):
            path = os.path.dirname(path)
            with contextlib.suppress(OSError):  # not empty, or gone already
                os.rmdir(path)

    def abandon_uploads(self, older_than: float) -> int:
        """Remove files that killed processes were writing."""
        if not self.root.is_dir():
            return 0
        with tempfile.NamedTemporaryFile(dir=self.root, prefix=TEMPORARY) as fresh:
            now = os.stat(fresh.name).st_mtime  # by the clock of the disk, which may be another machine's
        removed = 0
        for folder, _, names in os.walk(self.root):
            for path in (os.path.join(folder, name) for name in names if name.startswith(TEMPORARY)):
                with contextlib.suppress(OSError):
                    if now - os.stat(path).st_mtime > older_than:
                        os.unlink(path)
                        removed += 1
        return removed

    def _target(self, key: str) -> str:
        """The path to change; `InputError` when a link leads it out of the root. Reads may follow such links: the owner
        of a source has made them."""
        path, root = self.path(key), os.path.realpath(self.root)
        if os.path.commonpath((root, os.path.realpath(os.path.dirname(path)))) != root:
            raise InputError(f"{path} lies behind a link that leads out of {self.uri}: remove the link")
        return path

    def _commit(self, key: str, make: Callable[[str], object], publish: Callable[[str, str], object]) -> None:
        target = self._target(key)
        folder = os.path.dirname(target)
        temporary = os.path.join(folder, f"{TEMPORARY}{uuid4().hex}")
        try:
            _make_in(folder, lambda: make(temporary))
            with open(temporary, "r+b") as file:
                os.fsync(file.fileno())
            publish(temporary, target)
            _sync_folder(folder)
        except OSError as error:
            if isinstance(error, FileExistsError) and error.filename2 == target:
                raise
            raise _unwritable(target, error) from error
        finally:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def _make_in(folder: str, make: Callable[[], object]) -> None:
    """Do `make` while the folder exists: whoever deletes its last file deletes the folder, too."""
    for tries_left in reversed(range(_RACES)):
        try:
            os.makedirs(folder, exist_ok=True)
            make()
            return
        except (FileNotFoundError, FileExistsError):  # the second is `makedirs` on a folder that vanishes meanwhile
            if not tries_left:
                raise


def _write(path: str, content: bytes) -> None:
    with open(path, "xb") as file:
        file.write(content)


def _link_or_copy(local: Path, path: str) -> None:
    """Put the file `local` at `path`: by a hard link if possible, since a copy doubles the writing.

    A link needs the owner, group, rights, access lists and labels that a new file at `path` gets from its folder.
    """
    _write(path, b"")
    if _rights(path) == _rights(local):
        with contextlib.suppress(OSError):  # another disk, or one without links
            os.unlink(path)
            os.link(local, path)
            os.utime(path)  # as new as a copy: modification times tell versions apart
            return
    with contextlib.suppress(FileNotFoundError):  # it may be `local` itself by now
        os.unlink(path)
    shutil.copyfile(local, path)


def _rights(path: str | Path) -> object:
    status = os.stat(path)
    try:
        attributes = {name: os.getxattr(path, name) for name in os.listxattr(path)}
    except (AttributeError, OSError):  # a disk or system without them
        attributes = {}
    return status.st_uid, status.st_gid, status.st_mode, attributes


def _sync_folder(folder: str) -> None:
    """Make the rename survive a power cut."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:  # another process deleted the file, and the folder with it
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network mounts cannot, and need not
            raise
    finally:
        os.close(handle)


def _unwritable(target: str, error: OSError) -> InputError | RunError:
    reason = error.strerror or str(error)
    refused = isinstance(error, PermissionError | NotADirectoryError | IsADirectoryError | FileExistsError)
    if refused or error.errno in (errno.EROFS, errno.ELOOP):
        return InputError(f"{target} cannot be written: {reason}; give an output uri that this user may write to")
    return RunError(f"{target} could not be written: {reason}")
