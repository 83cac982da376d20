"""PostgreSQL's binary COPY format, made of Arrow columns and numpy matrices instead of row by row.

A file is a signature, then rows: int16 number of fields, then each field as int32 length (-1: null) and its bytes, all
big-endian; at the end int16 -1. https://www.postgresql.org/docs/current/sql-copy.html
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adaptor.quantisers import Codes
from jobs.export.json_values import UnreadableValue, json_value, python_values
from jobs.sources.ids import id_texts

SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
_NULL = b"\xff\xff\xff\xff"
#: Days and microseconds from 1970 to 2000, where PostgreSQL's time begins.
_EPOCH_DAYS = 10_957
_EPOCH_MICROSECONDS = _EPOCH_DAYS * 86_400_000_000

#: The fields of a column, with their lengths before them.
Fields = list[bytes]


def rows_of(columns: Sequence[Fields]) -> bytes:
    """The rows of these columns, all of one length."""
    parts: list[bytes] = [b""] * (len(columns[0]) * (len(columns) + 1))
    step = len(columns) + 1
    parts[::step] = [len(columns).to_bytes(2, "big")] * len(columns[0])
    for number, fields in enumerate(columns, 1):
        parts[number::step] = fields
    return b"".join(parts)


def vector_fields(codes: Codes, sql_type: str) -> Fields:
    """Codes (n, width) as `vector` (float32), `halfvec` (float16) or `bit` (packed bytes, the first bit highest)."""
    rows, width = codes.shape
    if sql_type == "bit":
        header, body = np.array([4 + width, width * 8], ">i4").view(np.uint8), codes
    else:
        numbers = codes.astype(">f4" if sql_type == "vector" else ">f2")
        body = np.ascontiguousarray(numbers).view(np.uint8).reshape(rows, -1)
        lengths = np.array([4 + body.shape[1]], ">i4").view(np.uint8)
        header = np.concatenate([lengths, np.array([width, 0], ">i2").view(np.uint8)])
    return _cut(np.hstack([np.broadcast_to(header, (rows, len(header))), body]))


def sql_type_of(kind: pa.DataType) -> str | None:
    """The SQL type that holds a column of this Arrow type; None where there is none."""
    if isinstance(kind, pa.UuidType):
        return "uuid"
    if pa.types.is_decimal(kind):
        return f"numeric({kind.precision},{kind.scale})" if 0 <= kind.scale <= kind.precision else "numeric"
    if pa.types.is_timestamp(kind):
        return "timestamp" if kind.tz is None else "timestamptz"
    if pa.types.is_nested(kind):
        return None if pa.types.is_union(kind) else "jsonb"
    return _SQL_TYPES.get(str(kind))


def column_fields(column: pa.Array, sql_type: str) -> Fields:
    """An Arrow column as fields of the type that `sql_type_of` gave it. Raises UnreadableValue for a value that the
    type cannot hold, and ArrowInvalid for times out of its range."""
    fields = _ENCODERS[sql_type.partition("(")[0]](column)
    if column.null_count:
        for row in np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False)).tolist():
            fields[row] = _NULL
    return fields


def _cut(rows: Any) -> Fields:
    """uint8 (n, width) as n pieces of bytes."""
    content, width = np.ascontiguousarray(rows).tobytes(), rows.shape[1]
    return [content[start : start + width] for start in range(0, len(content), width)]


def _numbers(dtype: str) -> Callable[[pa.Array], Fields]:
    def encode(column: pa.Array) -> Fields:
        """Fixed-size numbers, big-endian."""
        kind = np.dtype(dtype)
        filled = column.fill_null(0) if column.null_count else column
        values = filled.to_numpy(zero_copy_only=False).astype(kind)
        length = np.array([kind.itemsize], ">i4").view(np.uint8)
        body = values.view(np.uint8).reshape(len(values), kind.itemsize)
        return _cut(np.hstack([np.broadcast_to(length, (len(values), 4)), body]))

    return encode


def _sized(content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + content


def _texts(column: pa.Array) -> Fields:
    binaries = id_texts(column) if not pa.types.is_string(column.type) else column
    contents = pc.cast(binaries, pa.large_binary()).to_pylist()
    for row, content in enumerate(contents):
        if content is not None and b"\0" in content:
            raise UnreadableValue(row, "holds a NUL character, which PostgreSQL's text cannot")
    return [_sized(content or b"") for content in contents]


def _binaries(column: pa.Array) -> Fields:
    return [_sized(content or b"") for content in column.to_pylist()]


def _uuids(column: pa.Array) -> Fields:
    return _binaries(column.storage)


def _documents(column: pa.Array) -> Fields:
    texts = (json.dumps(json_value(value), ensure_ascii=False) for value in python_values(column))
    encoded = [text.encode("utf-8", "replace") for text in texts]
    for row, text in enumerate(encoded):
        if b"\\u0000" in text:
            raise UnreadableValue(row, "holds a NUL character, which PostgreSQL's jsonb cannot")
    return [_sized(b"\x01" + text) for text in encoded]


def _days(column: pa.Array) -> Fields:
    return _numbers(">i4")(pc.subtract(column.cast(pa.date32()).cast(pa.int32()), _EPOCH_DAYS))


def _moments(column: pa.Array) -> Fields:
    moments = _shortened(column, pa.timestamp("us", column.type.tz)).cast(pa.int64())
    return _numbers(">i8")(pc.subtract(moments, _EPOCH_MICROSECONDS))


def _times(column: pa.Array) -> Fields:
    return _numbers(">i8")(_shortened(column, pa.time64("us")).cast(pa.int64()))


def _shortened(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """Times in microseconds: nanoseconds are cut off. Raises ArrowInvalid for times that 64 bits cannot hold so."""
    return pc.cast(column, options=pc.CastOptions(target_type=kind, allow_time_truncate=True))


def _numerics(column: pa.Array) -> Fields:
    """int16 digits, weight, sign, decimals, then base-10,000 digits as int16."""
    values = column.cast(pa.decimal128(20, 0)) if pa.types.is_integer(column.type) else column
    return [b"" if value is None else _numeric(value) for value in values.to_pylist()]


def _numeric(value: Any) -> bytes:
    sign, digits, exponent = value.as_tuple()
    scale = max(0, -exponent)
    text = "".join(map(str, digits)) + "0" * max(0, exponent)
    whole, fraction = (text[:-scale], text[-scale:].rjust(scale, "0")) if scale else (text, "")
    whole = whole.rjust(-(-len(whole) // 4) * 4, "0")
    padded = whole + fraction.ljust(-(-scale // 4) * 4, "0")
    groups = [int(padded[start : start + 4]) for start in range(0, len(padded), 4)]
    weight = len(whole) // 4 - 1
    header = [len(groups), weight, 0x4000 if sign else 0, scale]
    return _sized(np.array([*header, *groups], ">i2").tobytes())


_SQL_TYPES = {
    "bool": "boolean",
    "int8": "smallint",
    "int16": "smallint",
    "int32": "integer",
    "int64": "bigint",
    "uint8": "smallint",
    "uint16": "integer",
    "uint32": "bigint",
    "uint64": "numeric(20,0)",
    "halffloat": "real",
    "float": "real",
    "double": "double precision",
    "string": "text",
    "binary": "bytea",
    "date32[day]": "date",
    "date64[ms]": "date",
    "time32[s]": "time",
    "time32[ms]": "time",
    "time64[us]": "time",
    "time64[ns]": "time",
}
_ENCODERS: dict[str, Callable[[pa.Array], Fields]] = {
    "boolean": lambda column: _numbers("i1")(column.cast(pa.int8())),
    "smallint": _numbers(">i2"),
    "integer": _numbers(">i4"),
    "bigint": _numbers(">i8"),
    "numeric": _numerics,
    "real": _numbers(">f4"),
    "double precision": _numbers(">f8"),
    "text": _texts,
    "bytea": _binaries,
    "uuid": _uuids,
    "date": _days,
    "timestamp": _moments,
    "timestamptz": _moments,
    "time": _times,
    "jsonb": _documents,
}
