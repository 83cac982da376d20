"""Row ids: strings, integers, decimals without digits behind the point, or UUIDs in a source; texts wherever ids of
different files are compared."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def is_id_type(kind: pa.DataType) -> bool:
    """Whether a column of this Arrow type can hold ids: strings (dictionary-encoded or not), integers, UUIDs, decimals
    of scale 0 (Snowflake's NUMBER(38,0)).

    Binaries cannot: there is no one way to write them as text.
    """
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    texts = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    numbers = pa.types.is_integer(kind) or (pa.types.is_decimal(kind) and kind.scale == 0)
    return bool(texts or numbers or isinstance(kind, pa.UuidType))


def id_type_name(kind: pa.DataType) -> str:
    """What `ids.type` calls a type: Arrow's name, and `string` for all that Parquet stores as strings."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "string"
    return "uuid" if isinstance(kind, pa.UuidType) else str(kind)


def id_texts(ids: pa.Array) -> pa.Array:
    """The ids as large_string: `7` → "7", a UUID as 8-4-4-4-12 hexadecimal digits; null stays null."""
    if isinstance(ids, pa.ExtensionArray):
        return _uuid_texts(ids.storage)
    if pa.types.is_dictionary(ids.type):
        ids = ids.dictionary_decode()
    return pc.cast(ids, pa.large_string())


def id_strings(column: pa.Array | pa.ChunkedArray) -> list[str | None]:
    """The same as Python strings, None where null; bytes that are no UTF-8 become U+FFFD."""
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    binaries = (pc.cast(id_texts(chunk), pa.large_binary()) for chunk in chunks)
    return [None if text is None else text.decode("utf-8", "replace") for part in binaries for text in part.to_pylist()]


def unusable_ids(ids: pa.Array) -> dict[int, str]:
    """Row → why its id is unusable: "null id", or "id is not UTF-8" (readers do not check what writers store)."""
    reasons = {int(row): "null id" for row in np.flatnonzero(ids.is_null())} if ids.null_count else {}
    try:
        ids.validate(full=True)
    except pa.ArrowInvalid:
        for row, text in enumerate(pc.cast(id_texts(ids), pa.large_binary()).to_pylist()):
            if text is not None and text.decode(errors="ignore").encode() != text:
                reasons[row] = "id is not UTF-8"
    return reasons


def _uuid_texts(storage: pa.FixedSizeBinaryArray) -> pa.Array:
    count = len(storage)
    texts = np.empty((0, 36), np.uint8)
    if count:
        digits = np.frombuffer(storage.buffers()[1].slice(16 * storage.offset, 16 * count).hex(), np.uint8)
        texts = np.insert(digits.reshape(count, 32), (8, 12, 16, 20), ord("-"), axis=1)
    ends = np.arange(0, 36 * (count + 1), 36, dtype=np.int64)
    strings = pa.Array.from_buffers(pa.large_string(), count, [None, pa.py_buffer(ends), pa.py_buffer(texts)])
    return pc.if_else(storage.is_valid(), strings, None)
