"""Targets that are folders of files for an importer: parts of a full load, then parts of each feed, and a note.

    <destination.uri>/<collection>/
      00000003-full/   what sequence 3 held: upsert-<file>-<part> …
      00000004-feed/   what sequence 4 changed: delete-… first, then upsert-…
      export.json      how far the export has come; written last

Parts are written to a local disk and published when the export saves how far it is, under names that a repeated step
gives again. Import what is new in the order of the names.
"""

from __future__ import annotations

import re
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import ClassVar, Protocol

from adaptor.artefact import Adaptor
from adaptor.errors import InputError
from jobs.config.export import DestinationSection
from jobs.export.collection import Collection
from jobs.export.rows import Rows
from jobs.export.state import State
from jobs.storage.objects import Objects
from jobs.storage.open import open_objects

NOTE = "export.json"
#: The folders with parts.
_PARTS = re.compile(r"\d{8,}-(full|feed)/")


def open_note(objects: Objects, files: Iterable[str] = ()) -> State | None:
    """The note in a folder; None where the folder is empty.

    Raises InputError when a finished export lacks one of `files`, and for a folder that holds other things.
    """
    if objects.stat(NOTE) is None:
        if there := next(iter(objects.list()), None):
            raise InputError(
                f"{objects.uri} holds {there.key}, which export did not make (there is no {NOTE}): give another "
                "destination.collection"
            )
        return None
    state = State.from_json(objects.read(NOTE), f"{objects.uri}/{NOTE}")
    missing = [name for name in files if objects.stat(name) is None]
    if missing and state.files_loaded is None:
        raise InputError(
            f"{objects.uri} lacks {missing[0]}, which its {NOTE} tells of: delete {NOTE}, then export again"
        )
    return state


class Part(Protocol):
    """A file that is being written."""

    def write(self, rows: Rows) -> None:
        """Append rows."""

    def size(self) -> int:
        """Bytes so far."""

    def close(self) -> None:
        """Complete the file."""


class FolderTarget(ABC):
    """The part of a `Target` that all of them have in common."""

    #: Ending of the files with rows, and of those with what is to be deleted.
    suffix: ClassVar[str] = ".ndjson"
    delete_suffix: ClassVar[str] = ".ndjson"
    #: A part is closed once it is larger.
    part_bytes: ClassVar[int] = 50_000_000
    failures: tuple[type[Exception], ...] = (OSError,)

    def __init__(self, destination: DestinationSection, collection: Collection, adaptor: Adaptor | None) -> None:
        self.collection, self._destination = collection, destination
        uri = f"{destination.uri.rstrip('/')}/{collection.name}"
        self._objects = open_objects(uri, destination.filesystem)
        self._scratch = ExitStack()
        self._folder: Path | None = None
        self._pending: list[tuple[str, Path]] = []
        self._state: State | None = None

    @abstractmethod
    def upserts(self, path: Path) -> Part:
        """Start a file of rows."""

    @abstractmethod
    def deletes(self, path: Path) -> Part:
        """Start a file of ids to be deleted."""

    @abstractmethod
    def side_files(self) -> Mapping[str, bytes]:
        """Files beside the parts: the schema of the collection."""

    def folder(self, name: str) -> str:
        """The folder of the parts of a full load or a feed."""
        return name

    def open(self) -> State | None:
        """Read the note."""
        self._state = open_note(self._objects)
        return self._state

    def create(self, state: State) -> None:
        """Schema and note; parts of an older export are deleted."""
        self._objects.check_writable()
        if self._state is not None:
            # Should this be interrupted, the next run must not take the old note for true.
            self._objects.put(NOTE, State(stamp={}, sequence=state.sequence, files_loaded=0).to_json().encode())
            for key in [info.key for info in self._objects.list() if _PARTS.match(info.key)]:
                self._objects.delete(key)
        for name, content in self.side_files().items():
            self._objects.put(name, content)
        self.save(state)

    def write(self, rows: Iterator[Rows], *, new: bool) -> None:
        """Write parts."""
        self._write("upsert", self.suffix, rows, self.upserts)

    def delete(self, rows: Iterator[Rows]) -> None:
        """Write parts."""
        self._write("delete", self.delete_suffix, rows, self.deletes)

    def save(self, state: State) -> None:
        """Publish the parts, then the note."""
        if self._state is not None:
            loading = self._state.files_loaded is not None
            folder = self.folder(f"{state.sequence:08}-{'full' if loading else 'feed'}")
            self._publish(f"{folder}/", f"{self._state.files_loaded or 0:05}")
        self._objects.put(NOTE, state.to_json().encode())
        self._state = state

    def count(self) -> int | None:
        """Unknown: the importer counts."""
        return None

    def finish(self) -> list[str]:
        """Where the files are."""
        return [f"{self._objects.uri}: import its folders in the order of their names"]

    def close(self) -> None:
        """Remove scratch files."""
        self._scratch.close()

    def _publish(self, folder: str, number: str) -> None:
        """Put the parts into the folder; what an interrupted run has put there under other names goes."""
        names = {folder + name.format(file=number): path for name, path in self._pending}
        for kind in ("delete", "upsert"):
            for key in [info.key for info in self._objects.list(f"{folder}{kind}-{number}-")]:
                if key not in names:
                    self._objects.delete(key)
        for name, path in names.items():
            self._objects.put_file(name, path)
            path.unlink(missing_ok=True)  # it may have become the object: nothing may be written to it any more
        self._pending = []

    def _write(self, kind: str, suffix: str, rows: Iterator[Rows], start: Callable[[Path], Part]) -> None:
        """Write as many parts as the rows fill."""
        first, number = next(rows, None), 0
        while first is not None:
            path = self._local(f"{kind}-{len(self._pending)}{suffix}")
            with closing(start(path)) as part:
                part.write(first)
                while (first := next(rows, None)) is not None and part.size() < self.part_bytes:
                    part.write(first)
            self._pending.append((f"{kind}-{{file}}-{number:03}{suffix}", path))
            number += 1

    def _local(self, name: str) -> Path:
        if self._folder is None:
            self._folder = Path(self._scratch.enter_context(tempfile.TemporaryDirectory(prefix="matryoshka-export-")))
        return self._folder / name


class LinesPart:
    """A `Part` of lines, as `lines` makes them of rows."""

    def __init__(self, path: Path, lines: Callable[[Rows], Iterable[str]]) -> None:
        self._file = path.open("wb")
        self._lines = lines

    def write(self, rows: Rows) -> None:
        """Append lines."""
        text = "\n".join(self._lines(rows))
        self._file.write(text.encode("utf-8", "replace") + b"\n")

    def size(self) -> int:
        """Bytes so far."""
        return self._file.tell()

    def close(self) -> None:
        """Complete the file."""
        self._file.close()
