"""Row ids: strings or integers in a store; as strings wherever ids of different files are compared."""

from __future__ import annotations

import pyarrow as pa


def is_id_type(kind: pa.DataType) -> bool:
    """Whether a column of this Arrow type can hold ids: strings or integers, dictionary-encoded or not."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    texts = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return bool(texts or pa.types.is_integer(kind))


def id_strings(column: pa.Array | pa.ChunkedArray) -> list[str | None]:
    """The ids as strings (`7` → "7"), None where null."""
    return [None if value is None else str(value) for value in column.to_pylist()]
