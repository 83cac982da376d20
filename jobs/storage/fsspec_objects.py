"""Objects on any source that fsspec has a driver for (gs://, abfs://, hf://, sftp://, memory:// …)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pyarrow.fs as pafs

from adaptor.errors import InputError
from jobs.storage.fsspec_errors import is_outage_behind, translated
from jobs.storage.objects import READ_LIMIT, AbsentError, ObjectInfo, Objects, checked_key

#: Sources that publish an object only when its upload is complete; on the others a rename does that.
_OBJECT_STORES = {"gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "oci", "memory", "hf"}
#: Files being written, on sources with folders; `list` hides them.
_TEMPORARY = ".tmp-"
#: What drivers call the thing that changes with the content, best first.
_VERSIONS = (
    "ETag",
    "etag",
    "md5Hash",
    "content_md5",
    "output_version",
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
            with self._told(f"uri {self.uri} cannot be opened", ValueError, TypeError, FileNotFoundError):
                self._fs, root = fsspec.core.url_to_fs(uri, use_listings_cache=False, skip_instance_cache=True)
        except (ValueError, TypeError, FileNotFoundError) as error:
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
            with self._told(f"{self.uri} cannot be listed", FileNotFoundError):
                found = self._find(f"{self._root}/{folder}" if folder else self._root)
        except FileNotFoundError:
            return
        infos = [self._info(path[len(self._root) :].lstrip("/"), info) for path, info in found.items()]
        for info in infos:
            if info.key.startswith(prefix) and not info.key.rpartition("/")[2].startswith(_TEMPORARY):
                yield info

    def _find(self, path: str) -> dict[str, Any]:
        """What the driver tells of every file below `path`, by its path."""
        from fsspec.asyn import AsyncFileSystem
        from fsspec.spec import AbstractFileSystem

        kind, general = type(self._fs), AsyncFileSystem._find
        if kind.find is AbstractFileSystem.find and getattr(kind, "_find", general) is general:
            return dict(self._walk(path))
        found: dict[str, Any] = self._fs.find(path, detail=True)  # in fewer requests
        return found

    def _walk(self, folder: str) -> Iterator[tuple[str, Any]]:
        """The same folder by folder. fsspec's own leaves out folders that cannot be listed, so that a source seems to
        be smaller than it is, or absent."""
        try:
            listing = self._fs.ls(folder, detail=True)
        except FileNotFoundError as error:  # removed since the folder above was listed
            if is_outage_behind(error):
                raise
            return
        for info in listing:
            path = info["name"].rstrip("/")
            if path != folder.rstrip("/"):
                yield from self._walk(path) if info["type"] == "directory" else ((info["name"], info),)

    def _info(self, key: str, info: dict[str, Any]) -> ObjectInfo:
        version = next((info[name] for name in _VERSIONS if info.get(name) is not None), "")
        if isinstance(version, datetime):  # some drivers list seconds and look up datetimes
            version = version.timestamp()
        return ObjectInfo(key, int(info.get("size") or 0), str(version))

    def stat(self, key: str) -> ObjectInfo | None:
        """Size and version now; None when absent."""
        try:
            with self._told(f"{self.uri}: {key} cannot be looked at", FileNotFoundError):
                info = self._fs.info(self.path(key))
        except FileNotFoundError:
            return None
        return None if info.get("type") == "directory" else self._info(key, info)

    def read(self, key: str, limit: int = READ_LIMIT) -> bytes:
        """The whole object; `InputError` when absent or over `limit` bytes."""
        info = self.stat(key)
        if info is None:
            raise AbsentError(f"{self.uri}: {key} does not exist")
        if info.size > limit:
            raise InputError(f"{self.uri}: {key} has {info.size} bytes, more than the {limit} that are read at once")
        try:
            with self._told(f"{self.uri}: {key} could not be read", FileNotFoundError):
                content: bytes = self._fs.cat_file(self.path(key))
        except FileNotFoundError as error:
            raise AbsentError(f"{self.uri}: {key} does not exist") from error
        return content

    def put(self, key: str, content: bytes) -> None:
        """Upload; on sources with folders to a temporary name that is then renamed."""
        self._publish(key, lambda path: self._fs.pipe_file(path, content))

    def put_file(self, key: str, local: Path) -> None:
        """Upload a file; on sources with folders to a temporary name that is then renamed."""
        self._publish(key, lambda path: self._fs.put_file(str(local), path))

    def put_new(self, key: str, content: bytes) -> bool:
        """Exclusive create, as the driver does it; one's own bytes standing there already count as success."""
        try:
            with self._told(f"{self.uri}: {key} cannot be written", FileExistsError):
                self._make_folder(key)
                self._fs.pipe_file(self.path(key), content, mode="create")
        except FileExistsError:
            return self._holds(key, content)
        return True

    def delete(self, key: str) -> None:
        """Remove; absent is fine."""
        with (
            contextlib.suppress(FileNotFoundError),
            self._told(f"{self.uri}: {key} cannot be removed", FileNotFoundError),
        ):
            self._fs.rm_file(self.path(key))

    def _publish(self, key: str, upload: Any) -> None:
        target = self.path(key)
        direct = self._scheme in _OBJECT_STORES
        folder = target.rpartition("/")[0]
        path = target if direct else f"{folder}/{_TEMPORARY}{uuid4().hex}"
        with self._told(f"{self.uri}: {key} cannot be written"):
            try:
                self._make_folder(key)
                upload(path)
                if not direct:
                    self._fs.mv(path, target)
            except Exception:
                if not direct:
                    with contextlib.suppress(Exception):  # the first problem is the one to tell
                        self._fs.rm_file(path)
                raise

    def _make_folder(self, key: str) -> None:
        if self._scheme not in _OBJECT_STORES or self._scheme == "memory":
            self._fs.makedirs(self.path(key).rpartition("/")[0], exist_ok=True)

    @contextlib.contextmanager
    def _told(self, doing: str, *passing: type[Exception]) -> Iterator[None]:
        """Whatever the driver raises as an error of ours, but those that are `passing` with no outage behind them."""
        try:
            yield
        except Exception as error:
            if isinstance(error, passing) and not is_outage_behind(error):
                raise
            raise translated(error, doing) from error
