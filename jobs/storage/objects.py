"""Objects below one URI: list, read, replace and create them, on local disk, S3 and any fsspec source.

An `Objects` is opened from the configuration inside each process that needs it and is never pickled: pickled
filesystems lose their retry settings and would carry keys.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pyarrow.fs as pafs

from adaptor.errors import InputError, RunError

#: Most bytes that `Objects.read` takes into memory unless told otherwise (records, artefacts, reports; never shards).
READ_LIMIT = 64 << 20


class AbsentError(InputError):
    """An object that was to be read is not there."""


@dataclass(frozen=True)
class ObjectInfo:
    """One stored object. `version` changes when its content does: ETag on S3, modification time in ns on local disk."""

    key: str
    size: int
    version: str


class Objects(ABC):
    """All objects below one URI. Keys are relative, `/`-separated and never leave the prefix.

    Errors: `InputError` when the place cannot be used (absent bucket, refused credentials, no permission), `RunError`
    when a request that should work failed for good.
    """

    #: The URI it was opened with, without credentials; for messages.
    uri: str
    #: Filesystem for bulk reads; use it with `path(key)`.
    arrow: pafs.FileSystem
    #: Bytes of one buffered read, one buffer per column: larger where each request costs a round trip.
    buffer_bytes: int = 1 << 20
    #: Such reads of one column that are under way before they are needed: several where each costs a round trip.
    requests_ahead: int = 0
    #: Set when the URI named one file: the only key that `list` shows.
    only: str | None = None

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Every object whose key starts with `prefix`, sorted by key; nothing when the prefix holds none."""
        if self.only is not None:  # a folder may hold much else, which need not be readable
            single = self.stat(self.only)
            yield from [single] if single is not None and self.only.startswith(prefix) else []
            return
        # Sorted here: SeaweedFS and AWS's directory buckets list "b/…" before "b-x", plain S3 after it.
        yield from sorted(self._list(prefix), key=lambda info: info.key)

    @abstractmethod
    def _list(self, prefix: str) -> Iterator[ObjectInfo]: ...

    @abstractmethod
    def path(self, key: str) -> str:
        """The path of `key` for `self.arrow`; `InputError` for a key that would leave the prefix."""

    @abstractmethod
    def stat(self, key: str) -> ObjectInfo | None:
        """Size and version of one object now (never from a cache), or None when it is absent."""

    @abstractmethod
    def read(self, key: str, limit: int = READ_LIMIT) -> bytes:
        """The whole content; `AbsentError` when there is none, `InputError` when it is larger than `limit` bytes."""

    @abstractmethod
    def put(self, key: str, content: bytes) -> None:
        """Create or replace: readers see the old content or the new, never a part."""

    @abstractmethod
    def put_new(self, key: str, content: bytes) -> bool:
        """Create; False when another content stands there already. Of several racers exactly one gets True.

        A repeated call with the same bytes is True: a reply may be lost after the object was made.
        """

    @abstractmethod
    def put_file(self, key: str, local: Path) -> None:
        """Create or replace by the content of a local file of any size; an interruption leaves no truncated object.

        The file may become the object: nobody may write to it afterwards.
        """

    def replace_file(self, key: str, local: Path, seen: ObjectInfo | None) -> bool:
        """As `put_file`, but only while what stands there is what was `seen` (None: nothing); False when it is not.

        S3 tells and acts in one request, however long that was on its way; here the look comes just before, and so it
        does on servers that do not know the condition. False also when a reply was lost, and what stands there is this
        very content.
        """
        if self.stat(key) != seen:
            return False
        self.put_file(key, local)
        return True

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove; an absent object is fine."""

    def abandon_uploads(self, older_than: float) -> int:
        """Remove uploads that were begun more than `older_than` seconds ago and never finished; how many there were.

        Age is told by the source's own clock. Sources without such leftovers have nothing to do.
        """
        return 0

    def _holds(self, key: str, content: bytes) -> bool:
        """Whether the object is there with exactly this content."""
        info = self.stat(key)
        try:
            return info is not None and info.size == len(content) and self.read(key, info.size) == content
        except AbsentError:  # removed in between
            return False

    def check_writable(self, folder: str = "") -> None:
        """Write and delete a probe in `folder` below the URI; `InputError` naming the URI when that fails."""
        key = f"{folder}/_probe-{uuid4().hex}".lstrip("/")
        try:
            self.put(key, b"probe")
            self.delete(key)
        except (InputError, RunError) as error:
            raise InputError(f"output {self.uri} is not writable: {error}") from error


def checked_key(key: str) -> str:
    """`key` itself, when it stays inside the prefix; `InputError` otherwise (absolute, `..`, empty parts, NUL)."""
    parts = key.split("/")
    if not key or "\0" in key or any(part in ("", ".", "..") for part in parts):
        raise InputError(
            f"object key {key!r} is not a plain relative path (no empty part, '.' or '..'): rename the object"
        )
    return key
