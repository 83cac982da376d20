"""Objects on any filesystem that fsspec has a driver for (gs://, abfs://, hf://, sftp://, memory:// …)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit
from uuid import uuid4

import fsspec
import pyarrow.fs as pafs
from aiohttp import ClientConnectionError
from fsspec.asyn import AsyncFileSystem
from fsspec.spec import AbstractFileSystem

from adaptor.errors import InputError, RunError
from jobs.storage.local_listing import TEMPORARY
from jobs.storage.objects import AbsentError, ObjectInfo, Objects, checked_key

#: Schemes whose objects appear when their upload is complete; on all others a rename does that.
_OBJECT_STORES = {"gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "oci", "memory", "hf"}
#: Drivers' names for what changes with the content, best first.
_VERSIONS = ("ETag", "etag", "md5Hash", "content_md5", "mtime", "LastModified", "last_modified", "created")
#: `find` and `_find` of drivers without their own.
_GENERAL_FIND = {(AbstractFileSystem.find, None), (AbstractFileSystem.find, AsyncFileSystem._find)}


#: Exceptions of libraries that may not be installed: the login was refused, or there is none.
_REFUSALS = {"error_perm", "AuthenticationException", "ClientAuthenticationError", "DefaultCredentialsError"}
#: Exceptions that a changed configuration can cure; so are these HTTP statuses.
_MISCONFIGURED = (PermissionError, NotADirectoryError, IsADirectoryError)
#: The same while a driver is opened; in a request they are its broken answers, or what was removed meanwhile.
_CANNOT_OPEN = (*_MISCONFIGURED, FileNotFoundError, ValueError, TypeError)
_REFUSED_STATUSES = (401, 403)
_HADOOP = ("libjvm", "libhdfs")


class FsspecObjects(Objects):
    """The objects below an fsspec URI; credentials come from that driver's own environment.

    `put_new` is as atomic as the driver's exclusive create (gs and abfs: atomic; others: check, then write).
    """

    buffer_bytes = 8 << 20
    requests_ahead = 1

    def __init__(self, uri: str) -> None:
        parts = urlsplit(uri)
        self.uri = uri.replace(f":{parts.password}@", ":…@") if parts.password else uri
        try:
            self._fs, root = fsspec.core.url_to_fs(uri, use_listings_cache=False, skip_instance_cache=True)
        except Exception as error:
            raise _translated(error, f"uri {self.uri} cannot be opened", _CANNOT_OPEN) from error
        self._root = root.rstrip("/")
        self._has_folders = parts.scheme.lower() not in _OBJECT_STORES
        self.arrow = pafs.PyFileSystem(pafs.FSSpecHandler(self._fs))

    def path(self, key: str) -> str:
        """The driver's path of `key`."""
        return f"{self._root}/{checked_key(key)}"

    def _list(self, prefix: str) -> Iterator[ObjectInfo]:
        folder = f"{self._root}/{prefix.rpartition('/')[0]}".rstrip("/")
        with contextlib.suppress(FileNotFoundError), _translating(f"{self.uri} cannot be listed", FileNotFoundError):
            for path, info in self._files(folder):
                key = path[len(self._root) :].lstrip("/")
                if key.startswith(prefix) and not key.rpartition("/")[2].startswith(TEMPORARY):
                    yield self._info(key, info)

    def _files(self, folder: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Path and description of every file below `folder`.

        Only a driver's own `find` is used, for its fewer requests: fsspec's leaves out folders that cannot be listed,
        so that a source seems to be smaller than it is, or absent.
        """
        driver = type(self._fs)
        if (driver.find, getattr(driver, "_find", None)) not in _GENERAL_FIND:
            yield from self._fs.find(folder, detail=True).items()
            return
        try:
            listing = self._fs.ls(folder, detail=True)
        except FileNotFoundError as error:  # removed since the folder above was listed
            if _is_outage_behind(error):
                raise
            return
        for info in listing:
            path = info["name"].rstrip("/")
            if path != folder:
                yield from self._files(path) if info["type"] == "directory" else ((info["name"], info),)

    def _info(self, key: str, info: dict[str, Any]) -> ObjectInfo:
        version = next((info[name] for name in _VERSIONS if info.get(name) is not None), "")
        if isinstance(version, datetime):  # some drivers list seconds and look up datetimes
            version = version.timestamp()
        return ObjectInfo(key, int(info.get("size") or 0), str(version))

    def stat(self, key: str) -> ObjectInfo | None:
        """Size and version now; None when absent."""
        doing = f"{self.uri}: {key} cannot be looked at"
        with contextlib.suppress(FileNotFoundError), _translating(doing, FileNotFoundError):
            info = self._fs.info(self.path(key))
            return None if info.get("type") == "directory" else self._info(key, info)
        return None

    def _read(self, key: str) -> bytes:
        with _translating(f"{self.uri}: {key} could not be read", FileNotFoundError):
            content: bytes = self._fs.cat_file(self.path(key))
        return content

    def put(self, key: str, content: bytes) -> None:
        """Upload; where there are folders, to a temporary name that is then renamed."""
        self._publish(key, lambda path: self._fs.pipe_file(path, content))

    def put_file(self, key: str, local: Path) -> None:
        """As `put`."""
        self._publish(key, lambda path: self._fs.put_file(str(local), path))

    def put_new(self, key: str, content: bytes) -> bool:
        """The driver's exclusive create; True also when the key already has these bytes."""
        target = self.path(key)
        try:
            with _translating(f"{self.uri}: {key} cannot be written", FileExistsError):
                if self._has_folders:
                    self._fs.makedirs(target.rpartition("/")[0], exist_ok=True)
                self._fs.pipe_file(target, content, mode="create")
        except FileExistsError:
            return self._holds(key, content)
        return True

    def copy(self, key: str, to: str) -> None:
        """The driver's copy."""
        if self.stat(key) is None:
            raise AbsentError(f"{self.uri}: {key} does not exist")
        self._publish(to, lambda path: self._fs.cp_file(self.path(key), path))

    def delete(self, key: str) -> None:
        """Remove; absent is fine."""
        doing = f"{self.uri}: {key} cannot be removed"
        with contextlib.suppress(FileNotFoundError), _translating(doing, FileNotFoundError):
            self._fs.rm_file(self.path(key))

    def _publish(self, key: str, upload: Callable[[str], object]) -> None:
        target = self.path(key)
        with _translating(f"{self.uri}: {key} cannot be written"):
            if not self._has_folders:
                upload(target)
                return
            folder = target.rpartition("/")[0]
            temporary = f"{folder}/{TEMPORARY}{uuid4().hex}"
            try:
                self._fs.makedirs(folder, exist_ok=True)
                upload(temporary)
                self._fs.mv(temporary, target)
            except Exception:
                with contextlib.suppress(Exception):  # the first error counts
                    self._fs.rm_file(temporary)
                raise


@contextlib.contextmanager
def _translating(doing: str, *passing: type[Exception]) -> Iterator[None]:
    """Turn the driver's exceptions into ours, except those `passing` that hide no outage."""
    try:
        yield
    except Exception as error:
        if isinstance(error, passing) and not _is_outage_behind(error):
            raise
        raise _translated(error, doing) from error


def _translated(error: Exception, doing: str, misconfigured: tuple[type[Exception], ...] = _MISCONFIGURED) -> Exception:
    """The exception to raise for `error`; `doing` names the location and the attempt ("hf://x cannot be …")."""
    if isinstance(error, InputError | RunError):
        return error
    if isinstance(error, FileNotFoundError) and _is_outage_behind(error):
        error = cast(Exception, error.__cause__)
    if isinstance(error, ImportError):
        return InputError(f"{doing}: {error}: install that Python package on every node")
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    if any(library in text for library in _HADOOP):
        return InputError(
            f"{doing}: {text}: install Java and Hadoop's native libraries on every node, and set JAVA_HOME, "
            "HADOOP_HOME and CLASSPATH"
        )
    if isinstance(error, NotImplementedError):
        return InputError(f"{doing}: its driver cannot do that: {text}: use another source")
    refused = type(error).__name__ in _REFUSALS or getattr(error, "status", None) in _REFUSED_STATUSES
    if refused or isinstance(error, misconfigured):
        return InputError(f"{doing}: {text}: check the uri and the credentials that its driver reads")
    return RunError(f"{doing}: {text}")


def _is_outage_behind(error: Exception) -> bool:
    """Whether a driver calls something absent because its request failed (fsspec's HTTP does)."""
    cause = error.__cause__
    status = getattr(cause, "status", None)
    if status is not None:
        return int(status) >= 500
    return isinstance(cause, OSError | ClientConnectionError) and not isinstance(cause, FileNotFoundError)
