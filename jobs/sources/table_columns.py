"""A file of a table seen through the table's schema: columns renamed, added, widened, or given by the partition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from adaptor.errors import InputError


@dataclass(frozen=True)
class TableColumn:
    """A column of the table: its `field`, and the file's column that holds it (`stored`), or else its `constant`."""

    field: pa.Field
    stored: str | None
    constant: pa.Scalar | None = None


def column_of(where: str, field: pa.Field, stored: pa.Field | None, constant: pa.Scalar | None = None) -> TableColumn:
    """The column `field` of a table in the file `where`, which holds it as `stored` (None: not at all).

    A file's own type stays where it says the same (large or not, list or fixed-size list), so that nothing is copied;
    but for views, which some writers of one table leave and others do not.
    `InputError` when the file's values cannot be had in the table's type.
    """
    if stored is None:
        return TableColumn(field.with_nullable(True), None, constant)
    if _same(field.type, stored.type) and (
        pa.types.is_string_view(stored.type) or pa.types.is_binary_view(stored.type)
    ):
        return TableColumn(field.with_nullable(stored.nullable), stored.name)
    if _same(field.type, stored.type):
        return TableColumn(pa.field(field.name, stored.type, stored.nullable, field.metadata), stored.name)
    if not _widens(stored.type, field.type):
        raise InputError(
            f"{where}: column '{stored.name}' is of type {stored.type}, the table says {field.type}: "
            "rewrite the table's old files (compaction), or leave the column out with source.payload_columns"
        )
    return TableColumn(field.with_nullable(stored.nullable), stored.name)


def schema_of(columns: Sequence[TableColumn]) -> pa.Schema:
    """The schema that these columns make. Notes of the file are not kept: they are of another schema."""
    return pa.schema([column.field for column in columns])


def projected(table: pa.RecordBatch, columns: Sequence[TableColumn], schema: pa.Schema) -> pa.RecordBatch:
    """The columns of the table from a batch of the file's columns."""
    if not columns:
        return table
    return pa.RecordBatch.from_arrays([_array(table, column) for column in columns], schema=schema)


def _array(table: pa.RecordBatch, column: TableColumn) -> pa.Array:
    kind = column.field.type
    if column.stored is None:
        constant = column.constant
        return pa.nulls(table.num_rows, kind) if constant is None else pa.repeat(constant.cast(kind), table.num_rows)
    stored = table.column(column.stored)
    return stored if stored.type.equals(kind) else pc.cast(stored, kind)


def _widens(stored: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether every value of a type has a place in another one (the promotions of Iceberg and Delta)."""
    numbers = (pa.types.is_integer, pa.types.is_floating)
    if any(kind(stored) and kind(wanted) for kind in numbers):
        return bool(stored.bit_width <= wanted.bit_width)
    if pa.types.is_decimal(stored) and pa.types.is_decimal(wanted):
        return bool(stored.scale == wanted.scale and stored.precision <= wanted.precision)
    if pa.types.is_timestamp(stored) and pa.types.is_timestamp(wanted):
        return True
    return bool(pa.types.is_integer(stored) and pa.types.is_float64(wanted) and stored.bit_width <= 32)


def _same(one: pa.DataType, other: pa.DataType) -> bool:
    """Whether two types hold the same values, however Arrow lays them out."""
    if one.equals(other):
        return True
    if isinstance(one, pa.BaseExtensionType):
        return _same(one.storage_type, other)
    if isinstance(other, pa.BaseExtensionType):
        return _same(one, other.storage_type)
    for group in _GROUPS:
        if any(is_kind(one) for is_kind in group) and any(is_kind(other) for is_kind in group):
            children = zip(_children(one), _children(other), strict=False)
            return len(_children(one)) == len(_children(other)) and all(_same(*pair) for pair in children)
    if pa.types.is_struct(one) and pa.types.is_struct(other):
        fields = zip(one, other, strict=False)
        return one.num_fields == other.num_fields and all(
            left.name == right.name and _same(left.type, right.type) for left, right in fields
        )
    return False


_GROUPS = (
    (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
    (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary),
    (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list, pa.types.is_list_view),
    (pa.types.is_map,),
)


def _children(kind: pa.DataType) -> list[pa.DataType]:
    return [kind.field(index).type for index in range(kind.num_fields)]
