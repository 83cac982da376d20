"""Columns inside of columns: `a.b` through structs, and through lists of structs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.sources.vectors import is_vector_type


def inner_lists(name: str, kind: pa.DataType) -> Iterator[str]:
    """Dotted paths to the lists of numbers inside of a struct column."""
    if pa.types.is_struct(kind):
        for field in kind:
            yield from (
                inner_lists(f"{name}.{field.name}", field.type)
                if not is_vector_type(field.type)
                else [f"{name}.{field.name}"]
            )
    elif is_list(kind) and pa.types.is_struct(kind.value_type):
        for field in kind.value_type:
            if pa.types.is_floating(field.type):
                yield f"{name}.{field.name}"


def inner_type(kind: pa.DataType, path: Sequence[str]) -> pa.DataType:
    """The type that a path leads to, through structs and lists of structs. `KeyError` when it leads nowhere."""
    if not path:
        return kind
    if pa.types.is_struct(kind):
        if kind.get_field_index(path[0]) < 0:
            raise KeyError(path[0])
        return inner_type(kind.field(path[0]).type, path[1:])
    if is_list(kind) and pa.types.is_struct(kind.value_type):
        return pa.large_list(inner_type(kind.value_type, path))
    raise KeyError(path[0])


def inner_values(column: pa.Array, path: Sequence[str]) -> pa.Array:
    """What the path leads to in each row, null where a struct on the way is."""
    if not path:
        return column
    if pa.types.is_struct(column.type):
        return inner_values(pc.struct_field(column, path[0]), path[1:])
    offsets, present = list_offsets(column)
    items = inner_values(column.values, path)
    return large_lists(offsets, items, present)


def without_inner(kind: pa.DataType, path: Sequence[str]) -> pa.DataType | None:
    """The type of the column without what the path leads to; None when nothing is left of it."""
    if not path:
        return None
    if pa.types.is_struct(kind):
        fields = [
            (field, without_inner(field.type, path[1:]) if field.name == path[0] else field.type) for field in kind
        ]
        left = [field.with_type(inner) for field, inner in fields if inner is not None]
        return pa.struct(left) if left else None
    return None  # a list goes as a whole


def pruned(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """A struct column with only those fields that are left in its new type."""
    if column.type.equals(kind):
        return column
    children = [pruned(pc.struct_field(column, field.name), field.type) for field in kind]
    mask = column.is_null() if column.null_count else None
    return pa.StructArray.from_arrays(children, fields=list(kind), mask=mask)


def is_list(kind: pa.DataType) -> bool:
    """Whether this is a type of lists, large or of a fixed size, too."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def list_offsets(column: pa.Array) -> tuple[Any, Any]:
    """Where each row's items start and end in `column.values`, int64 (n + 1,), and which rows are present, (n,)."""
    present = column.is_valid().to_numpy(zero_copy_only=False)
    if pa.types.is_fixed_size_list(column.type):
        return (np.arange(len(column) + 1, dtype=np.int64) + column.offset) * column.type.list_size, present
    return column.offsets.to_numpy().astype(np.int64), present


def large_lists(offsets: Any, items: pa.Array, present: Any) -> pa.Array:
    """A large_list array of rows that start and end at `offsets`, int64 (n + 1,); null where not `present`, (n,)."""
    mask = None if present.all() else pa.array(~present)
    return pa.LargeListArray.from_arrays(pa.array(offsets), items, mask=mask)
