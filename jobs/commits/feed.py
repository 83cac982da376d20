"""The feed of a sequence: what loaders must upsert and delete to come from the sequence before it to this one.

Outputs never change, so the rows that may differ are those of the files that came and of the files that went. They are
compared by id. An id that went is deleted only if no file that stayed has it: a row may be moved by a copy today and a
removal tomorrow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from adaptor.errors import InputError
from jobs.commits.feed_buckets import Buckets, rounds
from jobs.commits.manifest import FEEDS, Feed, Manifest, OutputFile
from jobs.commits.row_changes import last_rows, row_changes
from jobs.commits.version_reader import OP, VersionReader
from jobs.outputs.output_format import STAMP, Layout
from jobs.outputs.parquet import ParquetFormat
from jobs.outputs.publish import publish
from jobs.runtime.scratch import scratch_folder
from jobs.sources.fingerprints import Fingerprints, fingerprints
from jobs.sources.ids import id_texts
from jobs.storage.objects import Objects

UPSERT, DELETE = "upsert", "delete"
_BATCH_ROWS = 8_192


def feed_key(sequence: int, sha256: str = "") -> str:
    """Where the feed of a sequence is kept. Two runs that saw other files at the same time have two feeds; the manifest
    of the sequence names one. Without a digest: before all feeds of the sequence, in the order of keys."""
    return f"{FEEDS}{sequence:08}.{sha256[:8]}.parquet" if sha256 else f"{FEEDS}{sequence:08}"


def write_feed(output_version: Objects, before: Manifest, files: Sequence[OutputFile]) -> Feed:
    """Write the feed that leads from a manifest to these files. The same files give the same bytes. Memory and scratch
    space are bounded, whatever the number of rows.

    Raises InputError when a file is lost or damaged, and when the columns of the files do not go into one file.
    """
    changes = Changes.between(output_version, before, files)
    schema = changes.schema()
    sequence, upserts = before.sequence + 1, 0
    described = {name: str(before.description[name]) for name in ("adaptor_id", "dim", "encoding")}
    stamps = {STAMP + name.encode(): value.encode() for name, value in described.items()}
    fields = [pa.field(free_name(OP, schema.names), pa.string(), nullable=False), *schema]
    layout = Layout(_BATCH_ROWS, "zstd", changes.vector_columns)
    with scratch_folder() as folder:
        with ParquetFormat().writer(folder / "feed", pa.schema(fields, stamps), layout) as writer:
            for op, batch in changes.rows(schema, folder):
                upserts += len(batch) if op == UPSERT else 0
                ops = pa.array([op] * len(batch), pa.string())
                writer.write(pa.RecordBatch.from_arrays([ops, *batch.columns], schema=pa.schema(fields, stamps)))
            written = writer.finish()
        publish(output_version, feed_key(sequence, written.sha256), written)
    return Feed(
        sequence=sequence,
        path=feed_key(sequence, written.sha256),
        upserts=upserts,
        deletes=written.rows - upserts,
        bytes=written.bytes,
        sha256=written.sha256,
    )


def free_name(name: str, taken: Sequence[str]) -> str:
    """The name, with underscores appended until no column has it."""
    while name in taken:
        name += "_"
    return name


@dataclass(frozen=True)
class Changes:
    """The files of an output version that went, came and stayed between two sequences."""

    reader: VersionReader
    gone: list[OutputFile]
    came: list[OutputFile]
    stayed: list[OutputFile]

    @classmethod
    def between(cls, output_version: Objects, before: Manifest, files: Sequence[OutputFile]) -> Changes:
        """Compare a manifest with the files that count now."""
        old = {(file.path, file.sha256): file for file in before.files}
        new = {(file.path, file.sha256): file for file in files}
        return cls(
            VersionReader(output_version, before),
            gone=[file for key, file in old.items() if key not in new],
            came=[file for key, file in new.items() if key not in old],
            stayed=[file for key, file in new.items() if key in old],
        )

    @property
    def id_column(self) -> str:
        """The column of ids."""
        return str(self.reader.manifest.description["id_column"])

    @property
    def vector_columns(self) -> tuple[str, ...]:
        """The columns of short vectors."""
        description = self.reader.manifest.description
        second = description.get("rescore")
        return (description["vector_column"], *([second["column"]] if second else []))

    def schema(self) -> pa.Schema:
        """One schema that all files go into, every column nullable, without notes. Raises InputError when there is
        none."""
        schemas = [self.reader.describe(file).schema for file in (*self.came, *self.gone, *self.stayed[:1])]
        plain = [pa.schema([pa.field(f.name, _value_type(f.type)) for f in schema]) for schema in schemas]
        try:
            return pa.unify_schemas(plain, promote_options="permissive")
        except (pa.ArrowInvalid, pa.ArrowTypeError) as problem:
            raise InputError(f"the columns of old and new files do not go into one file ({problem})") from problem

    def rows(self, schema: pa.Schema, folder: Path) -> Iterator[tuple[str, pa.RecordBatch]]:
        """What to do, `upsert` or `delete`, with the rows of a batch."""
        changed = sum(self._memory(file) for file in (*self.gone, *self.came))
        for numbers, count in rounds(changed):
            went: list[pa.RecordBatch] = []
            with Buckets(folder, schema, numbers, count) as buckets:
                for side, files in (("old", self.gone), ("new", self.came)):
                    for batch in self._batches(files, schema):
                        buckets.add(side, batch, batch.column(self.id_column))
                for number in numbers:
                    old, new = buckets.read("old", number), buckets.read("new", number)
                    found = row_changes(old, new, self.id_column, self.vector_columns)
                    yield UPSERT, found.upserts
                    went.append(found.deletes.select([self.id_column]))
            yield from self._gone_or_elsewhere(went, schema)

    def _gone_or_elsewhere(
        self, went: Sequence[pa.RecordBatch], schema: pa.Schema
    ) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Ids that went: deleted, unless a file that stayed has them; then its row is what counts."""
        ids = pa.Table.from_batches(went).combine_chunks().column(0).combine_chunks()
        prints = np.sort(fingerprints(ids))
        for file in reversed(self.stayed) if len(ids) else ():
            if not self._has_any(file, prints):
                continue
            wanted, elsewhere = id_texts(ids), []
            for batch in self._batches([file], schema):
                texts = id_texts(batch.column(self.id_column))
                elsewhere.append(batch.filter(pc.is_in(texts, value_set=wanted)))
            found = pa.concat_batches(elsewhere)
            texts = id_texts(found.column(self.id_column))
            yield UPSERT, found.take(last_rows(texts))
            ids = ids.filter(pc.invert(pc.is_in(wanted, value_set=texts)))
        nulls = [ids if field.name == self.id_column else pa.nulls(len(ids), field.type) for field in schema]
        yield DELETE, pa.RecordBatch.from_arrays(nulls, schema=schema)

    def _has_any(self, file: OutputFile, prints: Fingerprints) -> bool:
        """Whether the file may have an id with one of these fingerprints, ascending."""
        batches = self.reader.batches(file, _BATCH_ROWS, [self.id_column])
        return any(_among(fingerprints(batch.column(self.id_column)), prints).any() for batch in batches)

    def _memory(self, file: OutputFile) -> int:
        """Bytes that its rows take, about: files may be compressed."""
        return max(file.bytes, sum(self.reader.describe(file).row_group_bytes))

    def _batches(self, files: Iterable[OutputFile], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """The rows of the files in one schema."""
        for file in files:
            for batch in self.reader.batches(file, _BATCH_ROWS):
                if more := set(batch.schema.names).difference(schema.names):  # of a file that stayed
                    raise InputError(f"{file.path} has columns that the changed files lack: {', '.join(sorted(more))}")
                columns = [_conforming(batch, field) for field in schema]
                yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _value_type(kind: pa.DataType) -> pa.DataType:
    """The type of a column in a feed: what a dictionary holds (batches of one file may have other dictionaries), and
    texts and bytes of any length in all."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if pa.types.is_string(kind) or pa.types.is_string_view(kind):
        return pa.large_string()
    return pa.large_binary() if pa.types.is_binary(kind) or pa.types.is_binary_view(kind) else kind


def _conforming(batch: pa.RecordBatch, field: pa.Field) -> pa.Array:
    """A column of the batch in the field's type; nulls where it has none. Raises InputError where a value does not go
    into that type."""
    if field.name not in batch.schema.names:
        return pa.nulls(len(batch), field.type)
    column = batch.column(field.name)
    try:
        return column if column.type == field.type else pc.cast(column, field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as problem:
        raise InputError(f"column {field.name!r} does not go into {field.type} ({problem})") from problem


def _among(values: Fingerprints, ascending: Fingerprints) -> npt.NDArray[np.bool_]:
    """Whether each value is among the others, bool (n,)."""
    places = np.minimum(np.searchsorted(ascending, values), len(ascending) - 1)
    found: npt.NDArray[np.bool_] = ascending[places] == values
    return found
