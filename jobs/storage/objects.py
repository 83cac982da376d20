"""Objects below one URI: list, read, replace and create them, on local disk, S3 and any fsspec filesystem.

Each process opens its own `Objects`. It is never pickled: a pickled filesystem loses its retries and carries keys.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pyarrow.fs as pafs

from adaptor.errors import InputError, RunError

#: Most bytes that `Objects.read` takes into memory by default: for records, artefacts, reports, never for shards.
READ_LIMIT = 64 << 20


class AbsentError(InputError):
    """The object to read does not exist."""


class RefusedError(InputError):
    """The store does not give this one object: forbidden, or archived (GLACIER). Others may be fine."""


class ThrottledError(RunError):
    """The store has too much to do, retries included: whoever waits, and asks for less, will be served."""


@dataclass(frozen=True)
class ObjectInfo:
    """One stored object. `version` changes when its content does: ETag on S3, modification time in ns on local disk."""

    key: str
    size: int
    version: str


class Objects(ABC):
    """All objects below one URI. Keys are relative, `/`-separated and never leave the prefix.

    Errors: `InputError` when the location cannot be used (absent bucket, refused credentials), `RefusedError` for an
    object that may not be read, `RunError` when a request that should work failed for good, `ThrottledError` when that
    was for want of capacity.
    """

    #: The URI without credentials; for messages.
    uri: str
    #: Filesystem for bulk reads; use it with `path(key)`.
    arrow: pafs.FileSystem
    #: Bytes of one buffered read, one buffer per column: larger where each request costs a round trip.
    buffer_bytes: int = 1 << 20
    #: Buffered reads of one column that are under way before they are needed: several where each costs a round trip.
    requests_ahead: int = 0
    #: The only key that `list` shows, when the URI names one file.
    only: str | None = None

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Every object whose key starts with `prefix`, sorted by key; nothing when the prefix holds none."""
        if self.only is not None:  # a folder may hold much else, which need not be readable
            single = self.stat(self.only)
            yield from [single] if single is not None and self.only.startswith(prefix) else []
            return
        # SeaweedFS and AWS's directory buckets list "b/…" before "b-x", plain S3 after it.
        yield from sorted(self._list(prefix), key=lambda info: info.key)

    @abstractmethod
    def _list(self, prefix: str) -> Iterator[ObjectInfo]: ...

    @abstractmethod
    def path(self, key: str) -> str:
        """The path of `key` for `self.arrow`; `InputError` for a key that would leave the prefix."""

    @abstractmethod
    def stat(self, key: str) -> ObjectInfo | None:
        """Size and version of one object now (never from a cache), or None when it is absent."""

    def read(self, key: str, limit: int = READ_LIMIT) -> bytes:
        """The whole content; `AbsentError` when there is none, `InputError` when it is larger than `limit` bytes."""
        info = self.stat(key)
        if info is not None and info.size > limit:
            raise InputError(f"{self.uri}: {key} has {info.size} bytes, more than the {limit} that are read at once")
        with contextlib.suppress(FileNotFoundError):
            if info is not None:
                return self._read(key)
        raise AbsentError(f"{self.uri}: {key} does not exist")

    @abstractmethod
    def _read(self, key: str) -> bytes:
        """The whole content; `FileNotFoundError` when there is none."""

    def probe(self, key: str) -> None:  # noqa: B027 - most filesystems have nothing to add
        """Read a byte, where a bulk read that failed does not tell why; raises what is wrong, if anything is:
        `FileNotFoundError` where there is no object."""

    @abstractmethod
    def put(self, key: str, content: bytes) -> None:
        """Create or replace: readers see the old content or the new, never a part."""

    @abstractmethod
    def put_new(self, key: str, content: bytes) -> bool:
        """Create; False when the key already has other content. Of several racers exactly one gets True.

        A repeated call with the same bytes is True: a reply may be lost after the object was made.
        """

    @abstractmethod
    def put_file(self, key: str, local: Path) -> None:
        """Create or replace by the content of a local file of any size; an interruption leaves no truncated object.

        The file may become the object: nobody may write to it afterwards.
        """

    def replace_file(self, key: str, local: Path, expected: ObjectInfo | None) -> bool:
        """As `put_file`, but only while the object is the `expected` one (None: absent); False when it is not.

        S3 compares and replaces in one request. Here, and on servers that ignore the condition, the look comes just
        before. False also when a reply was lost and the object already has this content.
        """
        if self.stat(key) != expected:
            return False
        self.put_file(key, local)
        return True

    @abstractmethod
    def copy(self, key: str, to: str) -> None:
        """Make `to` the same object, without the bytes passing through here where the storage can do that. An object
        that is absent is `InputError`."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove; an absent object is fine."""

    def abandon_uploads(self, older_than: float) -> int:
        """Remove uploads that began more than `older_than` seconds ago, by the storage's own clock, and never finished.

        Returns how many there were; 0 on storage without such leftovers.
        """
        return 0

    def _holds(self, key: str, content: bytes) -> bool:
        """Whether the object has exactly this content."""
        info = self.stat(key)
        try:
            return info is not None and info.size == len(content) and self._read(key) == content
        except FileNotFoundError:  # removed in between
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
