"""Headers of Parquet pages: structs in Thrift's compact protocol, of which a page header needs only a few fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

#: Structs within structs that are followed; a page header has two levels.
_DEEPEST = 4
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _STRUCT = 1, 2, 3, 7, 8, 12
_I16, _I32, _I64 = 4, 5, 6


class NeedsArrowReader(Exception):
    """It cannot be shown that reading directly gives what pyarrow gives, so pyarrow must read. Never leaves
    `source`."""


class Kind(IntEnum):
    """Types of pages."""

    DATA = 0
    INDEX = 1
    DICTIONARY = 2
    DATA_V2 = 3


class Encoding(IntEnum):
    """Encodings of values and levels."""

    PLAIN = 0
    PLAIN_DICTIONARY = 2
    RLE = 3
    RLE_DICTIONARY = 8
    BYTE_STREAM_SPLIT = 9


@dataclass(frozen=True)
class PageHeader:
    """What stands before a page: sizes in bytes, number of values (nulls and empty lists included), encoding.

    `level_bytes` are those of repetition and definition levels where the header tells them (version 2), `rows` the
    page's rows there. `compressed` tells whether the values are, if the column chunk is.
    """

    kind: int
    stored_bytes: int
    plain_bytes: int
    checksum: int | None
    values: int
    encoding: int
    level_bytes: tuple[int, int] | None = None
    rows: int | None = None
    compressed: bool = True


def read_header(data: memoryview) -> tuple[PageHeader, int]:
    """The page header at the beginning of `data`, and its length in bytes.

    Raises `IndexError` when `data` ends within it, `NeedsArrowReader` when it is none or of a kind that is not known.
    """
    fields, length = _struct(data, 0, _DEEPEST)
    kind, plain, stored = (_integer(fields, number) for number in (1, 2, 3))
    checksum = _integer(fields, 4) & 0xFFFFFFFF if 4 in fields else None
    if kind == Kind.INDEX:
        return PageHeader(kind, stored, plain, checksum, 0, Encoding.PLAIN), length
    if kind in (Kind.DATA, Kind.DICTIONARY):
        inner = _inner(fields, 5 if kind == Kind.DATA else 7)
        if kind == Kind.DATA and not _integer(inner, 3) == _integer(inner, 4) == Encoding.RLE:
            raise NeedsArrowReader("levels in the deprecated encoding")
        return PageHeader(kind, stored, plain, checksum, _integer(inner, 1), _integer(inner, 2)), length
    if kind == Kind.DATA_V2:
        inner = _inner(fields, 8)
        if _integer(inner, 2):
            raise NeedsArrowReader("nulls")
        sizes = _integer(inner, 6), _integer(inner, 5)
        packed = inner.get(7, True)
        count, rows, encoding = _integer(inner, 1), _integer(inner, 3), _integer(inner, 4)
        return PageHeader(kind, stored, plain, checksum, count, encoding, sizes, rows, packed is True), length
    raise NeedsArrowReader(f"a page of kind {kind}")


def varint(data: Any, at: int) -> tuple[int, int]:
    """An unsigned LEB128 number of at most 64 bits at `at`, and the position after it."""
    value = shift = 0
    while shift < 64:
        byte = int(data[at])
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise NeedsArrowReader("a number of more than 64 bits")


def _integer(fields: Mapping[int, Any], number: int) -> int:
    """Field `number`, of which only the checksum may be negative."""
    value = fields.get(number)
    if type(value) is not int or (value < 0 and number != 4):
        raise NeedsArrowReader(f"field {number} of a page header is {value!r}")
    return value


def _inner(fields: Mapping[int, Any], number: int) -> dict[int, Any]:
    value = fields.get(number)
    if not isinstance(value, dict):
        raise NeedsArrowReader("a page header without the part for its kind")
    return value


def _struct(data: memoryview, at: int, depth: int) -> tuple[dict[int, Any], int]:
    """Fields by number: 32-bit integers, booleans and structs; all others come out as None, for nothing needs them."""
    if not depth:
        raise NeedsArrowReader("structs too deep in a page header")
    fields: dict[int, Any] = {}
    number = 0
    while byte := data[at]:
        at += 1
        if byte >> 4:
            number += byte >> 4
        else:
            number, at = _zigzag(data, at)
        if number in fields:
            raise NeedsArrowReader("a field of a page header occurs twice")
        kind = byte & 0x0F
        if kind in (_TRUE, _FALSE):
            fields[number] = kind == _TRUE
        else:
            fields[number], at = _value(data, at, kind, depth)
    return fields, at + 1


def _value(data: memoryview, at: int, kind: int, depth: int) -> tuple[Any, int]:
    if kind == _I32:
        return _zigzag(data, at)
    if kind == _STRUCT:
        return _struct(data, at, depth - 1)
    if kind in (_I16, _I64):
        return None, varint(data, at)[1]
    if kind == _BINARY:
        size, at = varint(data, at)
    elif kind in (_BYTE, _DOUBLE):
        size = 1 if kind == _BYTE else 8
    else:
        raise NeedsArrowReader(f"a value of type {kind} in a page header")
    if at + size > len(data):
        raise IndexError
    return None, at + size


def _zigzag(data: memoryview, at: int) -> tuple[int, int]:
    value, at = varint(data, at)
    return (value >> 1) ^ -(value & 1), at
