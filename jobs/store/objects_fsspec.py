"""Objects on any store that fsspec has a driver for (gs://, abfs://, hf://, sftp://, memory:// …)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pyarrow.fs as pafs

from adaptor.errors import InputError, RunError
from jobs.store.objects import READ_LIMIT, AbsentError, ObjectInfo, Objects, checked_key

#: Stores that publish an object only when its upload is complete; on the others a rename does that.
_OBJECT_STORES = {"gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "oci", "memory", "hf"}
#: Files being written, on stores with folders; `list` hides them.
_TEMPORARY = ".tmp-"
#: What drivers call the thing that changes with the content, best first.
_VERSIONS = (
    "ETag",
    "etag",
    "md5Hash",
    "content_md5",
    "generation",
    "mtime",
    "LastModified",
    "last_modified",
    "created",
)


class FsspecObjects(Objects):
    """The objects below an fsspec URI; credentials come from that driver's own environment.

    `put_new` is as atomic as the driver's exclusive create (gs and abfs: atomic; others: check, then write).
    """

    buffer_bytes = 8 << 20
    requests_ahead = 1

    def __init__(self, uri: str) -> None:
        import fsspec

        parts = urlsplit(uri)
        self.uri = uri.replace(f":{parts.password}@", ":…@") if parts.password else uri
        try:
            self._fs, root = fsspec.core.url_to_fs(uri, use_listings_cache=False, skip_instance_cache=True)
        except (ImportError, ValueError) as error:
            raise InputError(f"uri {self.uri} cannot be opened: {error}") from error
        self._root = root.rstrip("/")
        self._scheme = parts.scheme.lower()
        self.arrow = pafs.PyFileSystem(pafs.FSSpecHandler(self._fs))

    def path(self, key: str) -> str:
        """The driver's path of `key`."""
        return f"{self._root}/{checked_key(key)}"

    def _list(self, prefix: str) -> Iterator[ObjectInfo]:
        folder = prefix.rpartition("/")[0]
        try:
            found = self._fs.find(f"{self._root}/{folder}" if folder else self._root, detail=True)
        except FileNotFoundError:
            return
        except OSError as error:
            raise RunError(f"{self.uri} cannot be listed: {error}") from error
        infos = [self._info(path[len(self._root) :].lstrip("/"), info) for path, info in found.items()]
        for info in infos:
            if info.key.startswith(prefix) and not info.key.rpartition("/")[2].startswith(_TEMPORARY):
                yield info

    def _info(self, key: str, info: dict[str, Any]) -> ObjectInfo:
        version = next((info[name] for name in _VERSIONS if info.get(name) is not None), "")
        if isinstance(version, datetime):  # some drivers list seconds and look up datetimes
            version = version.timestamp()
        return ObjectInfo(key, int(info.get("size") or 0), str(version))

    def stat(self, key: str) -> ObjectInfo | None:
        """Size and version now; None when absent."""
        try:
            info = self._fs.info(self.path(key))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RunError(f"{self.uri}: {key} cannot be looked at: {error}") from error
        return None if info.get("type") == "directory" else self._info(key, info)

    def read(self, key: str, limit: int = READ_LIMIT) -> bytes:
        """The whole object; `InputError` when absent or over `limit` bytes."""
        info = self.stat(key)
        if info is None:
            raise AbsentError(f"{self.uri}: {key} does not exist")
        if info.size > limit:
            raise InputError(f"{self.uri}: {key} has {info.size} bytes, more than the {limit} that are read at once")
        try:
            content: bytes = self._fs.cat_file(self.path(key))
        except FileNotFoundError as error:
            raise AbsentError(f"{self.uri}: {key} does not exist") from error
        except OSError as error:
            raise RunError(f"{self.uri}: {key} could not be read: {error}") from error
        return content

    def put(self, key: str, content: bytes) -> None:
        """Upload; on stores with folders to a temporary name that is then renamed."""
        self._publish(key, lambda path: self._fs.pipe_file(path, content))

    def put_file(self, key: str, local: Path) -> None:
        """Upload a file; on stores with folders to a temporary name that is then renamed."""
        self._publish(key, lambda path: self._fs.put_file(str(local), path))

    def put_new(self, key: str, content: bytes) -> bool:
        """Exclusive create, as the driver does it; one's own bytes standing there already count as success."""
        try:
            self._make_folder(key)
            self._fs.pipe_file(self.path(key), content, mode="create")
        except FileExistsError:
            return self._holds(key, content)
        except OSError as error:
            raise self._unwritable(key, error) from error
        return True

    def delete(self, key: str) -> None:
        """Remove; absent is fine."""
        try:
            with contextlib.suppress(FileNotFoundError):
                self._fs.rm_file(self.path(key))
        except OSError as error:
            raise self._unwritable(key, error) from error

    def _publish(self, key: str, upload: Any) -> None:
        target = self.path(key)
        direct = self._scheme in _OBJECT_STORES
        folder = target.rpartition("/")[0]
        path = target if direct else f"{folder}/{_TEMPORARY}{uuid4().hex}"
        try:
            self._make_folder(key)
            upload(path)
            if not direct:
                self._fs.mv(path, target)
        except OSError as error:
            if not direct:
                with contextlib.suppress(OSError):
                    self._fs.rm_file(path)
            raise self._unwritable(key, error) from error

    def _make_folder(self, key: str) -> None:
        if self._scheme not in _OBJECT_STORES or self._scheme == "memory":
            self._fs.makedirs(self.path(key).rpartition("/")[0], exist_ok=True)

    def _unwritable(self, key: str, error: OSError) -> InputError | RunError:
        if isinstance(error, PermissionError | NotADirectoryError | IsADirectoryError):
            return InputError(f"{self.uri}: {key} cannot be written: {error}")
        return RunError(f"{self.uri}: {key} could not be written: {error}")
