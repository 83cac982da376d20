"""The columns that a view of a shard shows, each with how it is made of the columns that are stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adaptor.errors import InputError
from jobs.config.sections import VectorsSection
from jobs.sources.ids import id_texts, is_id_type
from jobs.sources.struct_paths import inner_type, inner_values, pruned, without_inner
from jobs.sources.vector_layouts import stored_type, stored_vectors

#: What Hive, Spark and their like call a null in the name of a folder.
_NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class ViewColumn:
    """A column: its field, the stored columns that it is made of, and `make`, which gives its values out of a batch of
    these and the number of the batch's first row within the shard; None for a stored column as it is."""

    field: pa.Field
    needs: tuple[str, ...]
    make: Callable[[pa.RecordBatch, int], pa.Array] | None = None

    @property
    def is_stored(self) -> bool:
        """Whether it is a stored column as it is."""
        return self.make is None

    def values(self, table: pa.RecordBatch, first_row: int) -> pa.Array:
        """Its values out of a batch that begins at row `first_row` of the shard."""
        return table.column(self.field.name) if self.make is None else self.make(table, first_row)


def stored_columns(schema: pa.Schema) -> list[ViewColumn]:
    """All columns as they are."""
    return [ViewColumn(field, (field.name,)) for field in schema]


def with_vectors(where: str, columns: Sequence[ViewColumn], name: str, layout: VectorsSection) -> list[ViewColumn]:
    """The columns with the vectors `name` as a column of lists. A path (`a.b`) takes them out of their struct, which
    stays with what else it holds."""
    found = _resolve([column.field for column in columns], name)
    if found is None:
        return list(columns)
    field, path = found
    kind = inner_type(field.type, path)
    if layout.format != "text":
        kind = stored_type(kind, layout, f"{where}: column '{name}'")
    elif pa.types.is_string_view(kind):  # which Arrow cannot take rows of
        kind = pa.large_string()
    if not path and kind.equals(field.type):
        return list(columns)
    metadata = None if path else field.metadata
    vectors = ViewColumn(
        pa.field(name, kind, True, metadata), (field.name,), partial(_vectors, field.name, path, layout)
    )
    rest = without_inner(field.type, path)
    left = (
        [] if rest is None else [ViewColumn(field.with_type(rest), (field.name,), partial(_pruned, field.name, rest))]
    )
    return [new for column in columns for new in ([*left, vectors] if column.field is field else [column])]


def with_ids(columns: Sequence[ViewColumn], name: str, key: str) -> list[ViewColumn]:
    """The columns with the ids `name`: a column, the field of a struct, or the folder `name=…` of the shard `key`."""
    found = _resolve([column.field for column in columns], name)
    if found is not None:
        field, path = found
        if not path:
            return list(columns)
        kind = pa.field(name, inner_type(field.type, path))
        return [ViewColumn(kind, (field.name,), partial(_inner, field.name, path)), *columns]
    for part in key.split("/")[:-1]:
        column, equals, value = part.partition("=")
        if equals and unquote(column) == name:
            text = None if value == _NULL_PARTITION else unquote(value)
            return [ViewColumn(pa.field(name, pa.string()), (), partial(_constant, text)), *columns]
    return list(columns)


def with_row_numbers(where: str, columns: Sequence[ViewColumn], name: str, key: str) -> list[ViewColumn]:
    """The columns with `key:row` as ids. `InputError` when there is a column of that name."""
    if any(column.field.name == name for column in columns):
        raise InputError(
            f"{where}: column '{name}' is there, but source.ids.kind is row_number: set ids.kind: column, or another "
            "source.id_column, which names the ids that are made"
        )
    return [ViewColumn(pa.field(name, pa.string(), False), (), partial(_row_numbers, key)), *columns]


def with_text_ids(columns: Sequence[ViewColumn], name: str) -> list[ViewColumn]:
    """The columns with ids as strings."""
    return [
        ViewColumn(column.field.with_type(pa.string()), column.needs, partial(_texts, column))
        if column.field.name == name and is_id_type(column.field.type)
        else column
        for column in columns
    ]


def chosen_columns(
    where: str, columns: Sequence[ViewColumn], payload: Sequence[str], always: Sequence[str]
) -> list[ViewColumn]:
    """The columns of these names. `InputError` when a payload column is missing."""
    names = [column.field.name for column in columns]
    for name in payload:
        if name not in names:
            listed = ", ".join(f"'{other}'" for other in names[:20])
            raise InputError(f"{where}: no column '{name}'; it has {listed}: set source.payload_columns")
    return [column for column in columns if column.field.name in {*payload, *always}]


def _resolve(fields: Sequence[pa.Field], name: str) -> tuple[pa.Field, list[str]] | None:
    """The column that a name means, and the path inside of it; a column of the whole name comes first."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        head = ".".join(parts[:length])
        named = [field for field in fields if field.name == head]
        if len(named) == 1:
            try:
                inner_type(named[0].type, parts[length:])
            except KeyError:
                return None
            return named[0], parts[length:]
    return None


def _vectors(stored: str, path: Sequence[str], layout: VectorsSection, table: pa.RecordBatch, _first: int) -> pa.Array:
    values = inner_values(table.column(stored), path)
    if layout.format == "text":
        return pc.cast(values, pa.large_string()) if pa.types.is_string_view(values.type) else values
    return stored_vectors(values, layout)


def _pruned(stored: str, kind: pa.DataType, table: pa.RecordBatch, _first: int) -> pa.Array:
    return pruned(table.column(stored), kind)


def _inner(stored: str, path: Sequence[str], table: pa.RecordBatch, _first: int) -> pa.Array:
    return inner_values(table.column(stored), path)


def _constant(text: str | None, table: pa.RecordBatch, _first: int) -> pa.Array:
    return pa.repeat(pa.scalar(text, pa.string()), table.num_rows)


def _row_numbers(key: str, table: pa.RecordBatch, first: int) -> pa.Array:
    numbers = pc.cast(pa.array(np.arange(first, first + table.num_rows, dtype=np.int64)), pa.string())
    return pc.binary_join_element_wise(pa.scalar(key), numbers, ":")


def _texts(column: ViewColumn, table: pa.RecordBatch, first: int) -> pa.Array:
    return pc.cast(id_texts(column.values(table, first)), pa.string())
