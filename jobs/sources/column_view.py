"""A source seen through its section: the id and vector columns that it names, and the payload that it wants.

Every format is read through this, so that whoever reads a source finds ids of one type and vectors as lists (or texts),
wherever they came from. Where a file already has them so, nothing is done.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property

import pyarrow as pa

from adaptor.errors import InputError, RunError
from jobs.config.sections import QrelsSection, QueriesSection, SourceSection, VectorsSection
from jobs.sources.id_types import IdTypes
from jobs.sources.source import Batch, BatchRows, Shard, ShardInfo, Source
from jobs.sources.vectors import is_vector_type
from jobs.sources.view_columns import (
    ViewColumn,
    chosen_columns,
    stored_columns,
    with_ids,
    with_row_numbers,
    with_text_ids,
    with_vectors,
)

#: Lists shorter than this are rather features than vectors.
_LONG = 16


class ColumnView:
    """A `Source` over another one, `inner`."""

    def __init__(self, inner: Source, section: SourceSection | QueriesSection | QrelsSection, setting: str) -> None:
        self.uri, self._inner, self._section, self._setting = inner.uri, inner, section, setting
        self._ids = IdTypes(self, section) if isinstance(section, SourceSection) else None

    def shards(self) -> list[Shard]:
        """Those of the source, listed once."""
        return list(self._shards)

    def snapshot(self) -> str | None:
        """That of the source."""
        return self._inner.snapshot()

    def notes(self) -> list[str]:
        """Those of the source, and which other columns hold long vectors."""
        return [*self._inner.notes(), *self._other_vectors]

    def has(self, key: str) -> bool:
        """Whether the source has it."""
        return self._inner.has(key)

    def describe(self, shard: Shard) -> ShardInfo:
        """The shard with the columns of the view. `InputError` when its ids are of another type than in others."""
        info = self._inner.describe(shard)
        schema = self._schema(self._view(shard, info.schema), info.schema)
        if self._ids is not None:
            self._ids.check(shard.key, schema)
        return replace(info, schema=schema)

    def read(
        self,
        shard: Shard,
        row_groups: Iterable[int],
        batch_rows: BatchRows,
        columns: Sequence[str] | None = None,
        *,
        plain: bool = False,
    ) -> Iterator[Batch]:
        """As `Source.read`."""
        info = None if self._is_plain(shard) else self._inner.describe(shard)
        view = None if info is None else self._view(shard, info.schema)
        if info is None or view is None:
            yield from self._inner.read(shard, row_groups, batch_rows, columns, plain=plain)
            return
        wanted = [column for column in view if columns is None or column.field.name in columns]
        needs = list(dict.fromkeys(name for column in wanted for name in column.needs))
        schema = self._schema(wanted, info.schema)
        for batch in self._inner.read(shard, row_groups, batch_rows, needs, plain=plain):
            first, table = int(info.row_group_starts[batch.row_group]) + batch.first_row, batch.table
            arrays = [column.values(table, first) for column in wanted]
            yield Batch(batch.row_group, batch.first_row, pa.RecordBatch.from_arrays(arrays, schema=schema))

    def check_unchanged(self, shard: Shard) -> None:
        """As the source does."""
        self._inner.check_unchanged(shard)

    def id_type(self) -> str | None:
        """The type that ids must have; None where any will do. Call it after `shards`."""
        return None if self._ids is None else self._ids.wanted()

    @cached_property
    def _shards(self) -> list[Shard]:
        shards, section = self._inner.shards(), self._section
        if isinstance(section, SourceSection) and section.ids.kind == "row_number" and self.snapshot() is not None:
            raise InputError(
                f"{self.uri}: rows of a {section.format} table have no lasting numbers: set source.ids.kind: column "
                "and source.id_column"
            )
        return shards

    @cached_property
    def _other_vectors(self) -> list[str]:
        section = self._section
        if not isinstance(section, SourceSection) or section.payload_columns is not None:
            return []
        with suppress(InputError, RunError):
            schema = self.describe(self._shards[0]).schema
            others = [
                f"'{field.name}'" for field in schema if field.name != section.vector_column and _is_long(field.type)
            ]
            if others:
                return [
                    f"other columns hold vectors, too, and go along at full length: {', '.join(others)} "
                    "(source.payload_columns leaves them out)"
                ]
        return []

    def _is_plain(self, shard: Shard) -> bool:
        """Whether the columns can only be as they are stored; then the shard need not be described to read it."""
        section = self._section
        if isinstance(section, QrelsSection):
            return True
        plain = section.vectors == VectorsSection() and "." not in section.vector_column and section.format != "lance"
        if isinstance(section, SourceSection):
            plain &= section.ids.kind == "column" and section.ids.mixed != "text" and section.payload_columns is None
        return plain and "." not in section.id_column and f"{section.id_column}=" not in shard.key

    def _view(self, shard: Shard, schema: pa.Schema) -> list[ViewColumn] | None:
        """The columns of the view; None where they are the stored ones. `InputError` when they cannot be made."""
        section, where = self._section, f"{self.uri}: {shard.key}"
        if self._is_plain(shard) or isinstance(section, QrelsSection):
            return None
        columns = stored_columns(schema)
        columns = with_vectors(where, columns, section.vector_column, section.vectors)
        if not isinstance(section, SourceSection):
            return with_ids(columns, section.id_column, shard.key)
        if section.ids.kind == "row_number":
            columns = with_row_numbers(where, columns, section.id_column, shard.key)
        else:
            columns = with_ids(columns, section.id_column, shard.key)
        if section.ids.mixed == "text":
            columns = with_text_ids(columns, section.id_column)
        if section.payload_columns is not None:
            columns = chosen_columns(
                where, columns, section.payload_columns, (section.id_column, section.vector_column)
            )
        if len(columns) == len(schema) and all(column.is_stored for column in columns):
            return None
        if doubled := sorted({name for name in schema.names if schema.names.count(name) > 1}):
            raise InputError(f"{where}: several columns are named '{doubled[0]}': rename all but one")
        return columns

    def _schema(self, view: list[ViewColumn] | None, stored: pa.Schema) -> pa.Schema:
        return stored if view is None else pa.schema([column.field for column in view], stored.metadata)


def _is_long(kind: pa.DataType) -> bool:
    """Whether a column probably holds vectors of another model."""
    if not is_vector_type(kind):
        return False
    return not pa.types.is_fixed_size_list(kind) or kind.list_size >= _LONG
