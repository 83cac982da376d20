"""The third door: an `OutputFormat` writes one file for each work item. registry.py lists all formats."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import Protocol

import pyarrow as pa

from jobs.outputs.registry import OUTPUT_FORMATS
from jobs.sources.source import Batch, ShardInfo
from jobs.storage.objects import Objects

#: Prefix of all our keys in a file's metadata.
STAMP = b"matryoshka."


@dataclass(frozen=True)
class Layout:
    """How a file is written: rows per row group, compression, and the columns of vectors, which get no statistics (they
    cost time and say nothing)."""

    row_group_rows: int
    compression: str
    vector_columns: tuple[str, ...]


@dataclass(frozen=True)
class Written:
    """A finished file on the local disk: its rows, its size in bytes and the SHA-256 of its content."""

    path: Path
    rows: int
    bytes: int
    sha256: str


class OutputWriter(Protocol):
    """Writes record batches of one schema. Memory is bounded by two row groups."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows."""

    def wait(self) -> None:
        """Hold only rows that are not yet on their way to the file: called while memory is scarce."""

    def finish(self) -> Written:
        """Complete the file. Raises `RunError` when the scratch disk is full."""


class OutputFormat(Protocol):
    """A file format of outputs. The bytes depend on rows, schema and layout only: no times, no hosts. The schema's
    metadata, our stamps included, is kept."""

    #: Ending of the files.
    suffix: str

    def writer(self, path: Path, schema: pa.Schema, layout: Layout) -> AbstractContextManager[OutputWriter]:
        """Start a file at `path`."""

    def describe(self, objects: Objects, key: str) -> ShardInfo:
        """Rows and schema of a file. `InputError` when it is damaged."""

    def read(
        self,
        objects: Objects,
        key: str,
        columns: Sequence[str],
        batch_rows: int,
        row_groups: Iterable[int] | None = None,
    ) -> Iterator[Batch]:
        """Stream the columns of a file, of all row groups or some, as `Source.read` does."""


def open_output_format(name: str) -> OutputFormat:
    """The format of this name, which the configuration has checked."""
    output_format: OutputFormat = resolve_name(OUTPUT_FORMATS[name])()
    return output_format


def finished(path: Path, rows: int) -> Written:
    """The description of a writer's closed file."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Written(path, rows, path.stat().st_size, digest)
