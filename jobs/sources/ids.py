"""Row ids: strings, integers or UUIDs in a source; as texts wherever ids of different files are compared."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def is_id_type(kind: pa.DataType) -> bool:
    """Whether a column of this Arrow type can hold ids: strings (dictionary-encoded or not), integers, UUIDs.

    Binaries cannot: there is no one way to write them as text.
    """
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    texts = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return bool(texts or pa.types.is_integer(kind) or isinstance(kind, pa.UuidType))


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
    """Row → why its id is none: "null id", or "id is not UTF-8" (readers do not check what writers call a string)."""
    reasons: dict[int, str] = {}
    if ids.null_count:
        reasons = {int(row): "null id" for row in np.flatnonzero(ids.is_null().to_numpy(zero_copy_only=False))}
    try:
        ids.validate(full=True)
    except pa.ArrowInvalid:
        for row, text in enumerate(pc.cast(id_texts(ids), pa.large_binary()).to_pylist()):
            if text is not None and not _is_utf8(text):
                reasons[row] = "id is not UTF-8"
    return reasons


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _uuid_texts(storage: pa.FixedSizeBinaryArray) -> pa.Array:
    count, first = len(storage), storage.offset
    texts = np.full((count, 36), ord("-"), np.uint8)
    if count:
        raw = np.frombuffer(storage.buffers()[1], np.uint8)[16 * first : 16 * (first + count)].reshape(count, 16)
        digits = np.frombuffer(b"0123456789abcdef", np.uint8)[np.stack((raw >> 4, raw & 15), axis=2)]
        places = [place for place in range(36) if place not in (8, 13, 18, 23)]
        texts[:, places] = digits.reshape(count, 32)
    ends = np.arange(0, 36 * (count + 1), 36, dtype=np.int64)
    found = pa.Array.from_buffers(pa.large_string(), count, [None, pa.py_buffer(ends), pa.py_buffer(texts)])
    return pc.if_else(storage.is_valid(), found, pa.scalar(None, pa.large_string())) if storage.null_count else found
