"""Rows on their way: batches in the columns of the collection, which know their file and row for messages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from adaptor.errors import InputError
from adaptor.quantisers import Codes
from jobs.commits.manifest import Feed, OutputFile
from jobs.commits.version_reader import VersionReader
from jobs.encodings.stored import stored_codes
from jobs.export.collection import Collection, VectorColumn
from jobs.sources.ids import id_strings


@dataclass(frozen=True)
class Rows:
    """A batch: `table` has the columns of the collection (of the id alone where rows are deleted); row 0 is row
    `first_row` of `file`."""

    table: pa.RecordBatch
    id_column: str
    file: str
    first_row: int

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def ids(self) -> pa.Array:
        """The ids as they are stored."""
        return self.table.column(self.id_column)

    @property
    def texts(self) -> list[str]:
        """The ids as text, UUIDs in lower case."""
        texts = [text or "" for text in id_strings(self.ids)]
        return [text.lower() for text in texts] if isinstance(self.ids.type, pa.UuidType) else texts

    def codes(self, column: VectorColumn) -> Codes:
        """The codes of a vector column, (n, width)."""
        return stored_codes(self.table.column(column.name))

    def slice(self, start: int, rows: int) -> Rows:
        """Some of the rows."""
        return Rows(self.table.slice(start, rows), self.id_column, self.file, self.first_row + start)

    def slices(self, rows: int) -> Iterator[Rows]:
        """All rows, so many at a time."""
        return (self.slice(start, rows) for start in range(0, len(self), rows))

    def refused(self, row: int, column: str, rule: str) -> InputError:
        """The error for a row that the target does not take, with its column, its place and its id."""
        return InputError(
            f"{self.file}, row {self.first_row + row:,} (id {self.texts[row]!r}): column {column!r} {rule}"
        )


def file_rows(reader: VersionReader, collection: Collection, file: OutputFile, batch_rows: int) -> Iterator[Rows]:
    """The rows of a file. Raises InputError when it is missing, damaged or has other types than the first file."""
    return _aligned(
        reader.batches(file, batch_rows), collection.schema, collection, f"{reader.objects.uri}/{file.path}"
    )


def feed_rows(reader: VersionReader, collection: Collection, feed: Feed, batch_rows: int, op: str) -> Iterator[Rows]:
    """The rows of a feed that are to be upserted, or (ids only) to be deleted. Raises InputError as `file_rows`."""
    schema = collection.schema
    if op == "delete":
        schema = pa.schema([schema.field(collection.id_column)])
    chosen = (batch.filter(pc.equal(batch.column(0), op)) for batch in reader.feed_batches(feed, batch_rows))
    return _aligned(chosen, schema, collection, f"{reader.objects.uri}/{feed.path} ({op} rows)")


def _aligned(batches: Iterator[pa.RecordBatch], schema: pa.Schema, collection: Collection, file: str) -> Iterator[Rows]:
    """The batches in this schema; a column that the file lacks is null."""
    first_row = 0
    for batch in batches:
        columns = [_column(batch, field, file) for field in schema]
        if batch.num_rows:
            yield Rows(pa.RecordBatch.from_arrays(columns, schema=schema), collection.id_column, file, first_row)
        first_row += batch.num_rows


def _column(batch: pa.RecordBatch, field: pa.Field, file: str) -> pa.Array:
    if field.name not in batch.schema.names:
        if not field.nullable:
            raise InputError(f"{file} has no column {field.name!r}: run matryoshka verify")
        return pa.nulls(batch.num_rows, field.type)
    column = batch.column(field.name)
    if column.type == field.type:
        return column
    try:
        plain = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
        return plain.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as problem:
        raise InputError(
            f"{file}: column {field.name!r} is of type {column.type}, in the first file it is {field.type}: write "
            "both alike in the source, or leave the column out (destination.payload)"
        ) from problem
