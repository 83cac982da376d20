"""Structs in Thrift's compact protocol, whole: what is read can be changed and written again, known field or not.

A struct is a dictionary from field numbers to pairs (type, value); a list is a pair (type of the elements, elements).
Only for footers that pyarrow has just written here: bytes of others are read by `headers`, which trusts nothing.
"""

from __future__ import annotations

import io
from typing import Any

_TRUE, _FALSE, _BYTE, I32, I64, _DOUBLE, _BINARY, LIST, STRUCT = 1, 2, 3, 5, 6, 7, 8, 9, 12
_INTEGERS = (4, I32, I64)
_LONG_LIST = 15

Struct = dict[int, tuple[int, Any]]


def parse(data: bytes) -> Struct:
    """The struct that `data` is, from the first byte to the last; `ValueError` when it is anything else."""
    stream = io.BytesIO(data)
    found = _read_struct(stream)
    if stream.tell() != len(data):
        raise ValueError("bytes after the end of a Thrift struct")
    return found


def encode(struct: Struct) -> bytes:
    """The bytes of a struct, fields in the order of their numbers."""
    encoded, last = bytearray(), 0
    for number, (kind, value) in sorted(struct.items()):
        if kind in (_TRUE, _FALSE):
            kind = _TRUE if value else _FALSE
        step = number - last
        encoded += bytes([step << 4 | kind]) if 0 < step <= _LONG_LIST else bytes([kind]) + _zigzag(number)
        if kind not in (_TRUE, _FALSE):
            encoded += _encoded(kind, value)
        last = number
    return bytes(encoded) + b"\0"


def varint(value: int) -> bytes:
    """An unsigned number, seven bits to a byte, lowest first."""
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def _zigzag(value: int) -> bytes:
    return varint(value << 1 if value >= 0 else ~value << 1 | 1)


def _encoded(kind: int, value: Any) -> bytes:
    if kind in _INTEGERS:
        return _zigzag(value)
    if kind == _BINARY:
        return varint(len(value)) + bytes(value)
    if kind == STRUCT:
        return encode(value)
    if kind == LIST:
        element, items = value
        size = len(items)
        head = bytes([size << 4 | element]) if size < _LONG_LIST else bytes([0xF0 | element]) + varint(size)
        return head + b"".join(_encoded(element, item) for item in items)
    return bytes(value)  # _BYTE, _DOUBLE and booleans in lists, kept as they were


def _read_struct(stream: io.BytesIO) -> Struct:
    fields: Struct = {}
    number = 0
    while head := _take(stream, 1)[0]:
        number = number + (head >> 4) if head >> 4 else _read_zigzag(stream)
        kind = head & 0x0F
        fields[number] = kind, kind == _TRUE if kind in (_TRUE, _FALSE) else _read(stream, kind)
    return fields


def _read(stream: io.BytesIO, kind: int) -> Any:
    if kind in _INTEGERS:
        return _read_zigzag(stream)
    if kind == _BINARY:
        return _take(stream, _read_varint(stream))
    if kind == STRUCT:
        return _read_struct(stream)
    if kind == LIST:
        head = _take(stream, 1)[0]
        size = head >> 4 if head >> 4 < _LONG_LIST else _read_varint(stream)
        return head & 0x0F, [_read(stream, head & 0x0F) for _ in range(size)]
    if kind in (_TRUE, _FALSE, _BYTE, _DOUBLE):
        return _take(stream, 8 if kind == _DOUBLE else 1)
    raise ValueError(f"a Thrift value of type {kind}")


def _read_varint(stream: io.BytesIO) -> int:
    value = shift = 0
    while (byte := _take(stream, 1)[0]) & 0x80:
        value |= (byte & 0x7F) << shift
        shift += 7
    return value | byte << shift


def _read_zigzag(stream: io.BytesIO) -> int:
    value = _read_varint(stream)
    return value >> 1 ^ -(value & 1)


def _take(stream: io.BytesIO, count: int) -> bytes:
    taken = stream.read(count)
    if len(taken) != count:
        raise ValueError("a Thrift struct that ends too early")
    return taken
