"""The rows of an output version as its manifest says, and its feeds: what loaders read. Never a glob."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from adaptor.errors import InputError
from jobs.commits.manifest import Feed, Manifest, OutputFile, read_manifest, superseded_key
from jobs.commits.names import DATA
from jobs.outputs.output_format import OutputFormat, open_output_format
from jobs.outputs.parquet import ParquetFormat
from jobs.sources.source import ShardInfo
from jobs.storage.objects import Objects

#: The first column of a feed says what to do with the row; its name, unless the output has such a column.
OP = "op"


@dataclass(frozen=True)
class VersionReader:
    """Reads one sequence of an output version. Memory is bounded by the batch."""

    objects: Objects
    manifest: Manifest

    @classmethod
    def open(cls, objects: Objects, sequence: int | None = None) -> VersionReader:
        """Read the manifest of a sequence, the newest where none is given. Raises InputError when there is none."""
        return cls(objects, read_manifest(objects, sequence))

    def schema(self) -> pa.Schema:
        """The schema of the first file. Raises InputError when no file counts."""
        if not self.manifest.files:
            raise InputError(f"{self.objects.uri} has no rows: nothing can be loaded from it")
        return self.describe(self.manifest.files[0]).schema

    def describe(self, file: OutputFile) -> ShardInfo:
        """Rows and schema of a file. Raises InputError when it is missing or of another size."""
        return self._format.describe(self.objects, self._located(file))

    def batches(
        self, file: OutputFile, batch_rows: int, columns: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """The rows of a file, of all columns or some. Raises InputError when it is missing or of another size."""
        key = self._located(file)
        names = self._format.describe(self.objects, key).schema.names if columns is None else columns
        for batch in self._format.read(self.objects, key, names, batch_rows):
            yield batch.table

    def feed_batches(self, feed: Feed, batch_rows: int) -> Iterator[pa.RecordBatch]:
        """The rows of a feed. Raises InputError when its file is missing or of another size."""
        _check(self.objects, feed.path, feed.bytes)
        parquet = ParquetFormat()
        names = parquet.describe(self.objects, feed.path).schema.names
        for batch in parquet.read(self.objects, feed.path, names, batch_rows):
            yield batch.table

    @property
    def _format(self) -> OutputFormat:
        return open_output_format(str(self.manifest.description["file_format"]))

    def _located(self, file: OutputFile) -> str:
        """Where the file is now: it may have left `data/` since the manifest was read."""
        if file.path.startswith(DATA) and self.objects.stat(file.path) is None:
            moved = replace(file, path=superseded_key(file))
            file = file if self.objects.stat(moved.path) is None else moved
        _check(self.objects, file.path, file.bytes)
        return file.path


def _check(objects: Objects, key: str, size: int) -> None:
    info = objects.stat(key)
    if info is None or info.size != size:
        found = "is missing" if info is None else f"has {info.size} bytes"
        raise InputError(
            f"{objects.uri}/{key} {found}, the manifest says {size} bytes: run matryoshka verify, then compress again"
        )
