"""Headers of Parquet pages: structs in Thrift's compact protocol, of which a page header needs only a few fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

#: Structs within structs that are followed; a page header has two levels.
_DEEPEST = 4
#: Types of fields in the protocol.
_TRUE, _FALSE, _I32, _I64, _BINARY, _STRUCT = 1, 2, 5, 6, 8, 12


class NeedsArrowReader(Exception):
    """It cannot be shown that reading directly gives what pyarrow gives, so pyarrow must read. Stays in `sources`."""


class Kind(IntEnum):
    """Types of pages."""

    DATA = 0
    DICTIONARY = 2
    DATA_V2 = 3


class Encoding(IntEnum):
    """Encodings of values and levels."""

    PLAIN = 0
    PLAIN_DICTIONARY = 2
    RLE = 3
    RLE_DICTIONARY = 8
    BYTE_STREAM_SPLIT = 9


#: Number of the field that holds the header of each kind.
_INNER: dict[int, int] = {Kind.DATA: 5, Kind.DICTIONARY: 7, Kind.DATA_V2: 8}


@dataclass(frozen=True)
class PageHeader:
    """What stands before a page: sizes in bytes, number of values (nulls and empty lists included), encoding.

    Headers of version 2 also have the bytes of repetition and definition levels (`level_bytes`), the page's `rows`, and
    whether the values are `compressed` when the column chunk is.
    """

    kind: int
    stored_bytes: int
    plain_bytes: int
    checksum: int | None
    values: int
    encoding: int
    level_bytes: tuple[int, int] | None
    rows: int | None
    compressed: bool


def read_header(data: memoryview) -> tuple[PageHeader, int]:
    """The page header at the beginning of `data`, and its length in bytes.

    Raises `IndexError` when `data` ends within it, `NeedsArrowReader` when it is none or of an unknown kind.
    """
    fields, length = _struct(data, 0, _DEEPEST)
    kind, plain, stored = (_integer(fields, number) for number in (1, 2, 3))
    checksum = _integer(fields, 4) & 0xFFFFFFFF if 4 in fields else None
    inner = fields.get(_INNER[kind]) if kind in _INNER else None
    if not isinstance(inner, dict):
        raise NeedsArrowReader(f"a page of kind {kind}, or one without the header of its kind")
    if kind == Kind.DATA and not _integer(inner, 3) == _integer(inner, 4) == Encoding.RLE:
        raise NeedsArrowReader("levels in the deprecated encoding")
    version_2 = kind == Kind.DATA_V2
    if version_2 and _integer(inner, 2):
        raise NeedsArrowReader("nulls")
    header = PageHeader(
        kind=kind,
        stored_bytes=stored,
        plain_bytes=plain,
        checksum=checksum,
        values=_integer(inner, 1),
        encoding=_integer(inner, 4 if version_2 else 2),
        level_bytes=(_integer(inner, 6), _integer(inner, 5)) if version_2 else None,
        rows=_integer(inner, 3) if version_2 else None,
        compressed=inner.get(7, True) is True,
    )
    return header, length


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


def _struct(data: memoryview, at: int, depth: int) -> tuple[dict[int, Any], int]:
    """Fields by number: 32-bit integers, booleans and structs; others, which are not needed, are None."""
    fields: dict[int, Any] = {}
    number = 0
    while byte := data[at]:
        at, kind = at + 1, byte & 0x0F
        if byte >> 4:
            number += byte >> 4
        else:
            number, at = _zigzag(data, at)
        if number in fields:
            raise NeedsArrowReader("a field of a page header occurs twice")
        fields[number] = None
        if kind in (_TRUE, _FALSE):
            fields[number] = kind == _TRUE
        elif kind == _I32:
            fields[number], at = _zigzag(data, at)
        elif kind == _STRUCT and depth > 1:
            fields[number], at = _struct(data, at, depth - 1)
        elif kind == _I64:
            at = varint(data, at)[1]
        elif kind == _BINARY:
            size, at = varint(data, at)
            at += size
        else:
            raise NeedsArrowReader(f"a value of type {kind} in a page header")
    return fields, at + 1


def _zigzag(data: memoryview, at: int) -> tuple[int, int]:
    value, at = varint(data, at)
    return (value >> 1) ^ -(value & 1), at
