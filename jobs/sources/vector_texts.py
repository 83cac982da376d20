"""Vectors written as text: `[0.1, -2e-3]` as JSON and pgvector have it, `{0.1,2}` as Postgres arrays."""

from __future__ import annotations

import reprlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_BRACKETS = "[]{} \t\r\n"


def is_text_type(kind: pa.DataType) -> bool:
    """Whether a column of this Arrow type holds texts."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def parse_texts(column: pa.Array) -> tuple[pa.Array, dict[int, str]]:
    """The texts as large_list of float32 (nearest to what is written), null where there is none; and row → "no list of
    numbers: '…'" for those that are none."""
    texts = pc.cast(column, pa.large_string())
    try:
        return _parse(texts), {}
    except pa.ArrowInvalid:  # some text is no list: find out which
        reasons = {
            row: f"no list of numbers: {reprlib.repr(text)}"
            for row, text in enumerate(texts.to_pylist())
            if text is not None and not _is_list(text)
        }
        good = np.ones(len(texts), bool)
        good[list(reasons)] = False
        return _parse(pc.if_else(pa.array(good), texts, None)), reasons


def _parse(texts: pa.Array) -> pa.Array:
    """Raises `ArrowInvalid` when a text is no list of numbers."""
    trimmed = pc.utf8_trim_whitespace(texts)
    bracketed = pc.or_(
        pc.and_(pc.starts_with(trimmed, "["), pc.ends_with(trimmed, "]")),
        pc.and_(pc.starts_with(trimmed, "{"), pc.ends_with(trimmed, "}")),
    )
    if pc.any(pc.invert(bracketed)).as_py():
        raise pa.ArrowInvalid("a text without brackets")
    inner = pc.utf8_trim(trimmed, characters=_BRACKETS)
    empty = pc.fill_null(pc.equal(inner, ""), False)
    parts = pc.split_pattern(pc.if_else(empty, None, inner), ",")
    numbers = pc.cast(pc.utf8_trim_whitespace(pc.list_flatten(parts)), pa.float32())
    lengths = pc.fill_null(pc.list_value_length(parts), 0).to_numpy(zero_copy_only=False)
    ends = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)))
    return pa.LargeListArray.from_arrays(pa.array(ends), numbers, mask=texts.is_null())


def _is_list(text: str) -> bool:
    """Whether one text is a list of numbers; the slow way."""
    try:
        _parse(pa.array([text], pa.large_string()))
    except pa.ArrowInvalid:
        return False
    return True
