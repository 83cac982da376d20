"""Levels and indices against a decoder that takes one value at a time; headers that end anywhere."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.sources.fast_parquet.headers import NeedsArrowReader, read_header
from jobs.sources.fast_parquet.runs import regular, unpack

#: A data page header of version 1: 4 fields, 2 values in encoding 0 (plain), levels in encoding 3.
HEADER = bytes([0x15, 0, 0x15, 40, 0x15, 40, 0x2C, 0x15, 4, 0x15, 0, 0x15, 6, 0x15, 6, 0, 0])


def number(value: int) -> bytes:
    """LEB128."""
    digits = []
    while value >= 0x80:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])


def encode(values: list[int], dim: int, cuts: list[int]) -> bytes:
    """Runs as a writer may cut them: a repeated run where a stretch is constant and the coin says so, else packed."""
    encoded, at = b"", 0
    for cut in [*cuts, 1, 1, 1, 1]:
        stretch = values[at : at + cut]
        if len(set(stretch)) == 1 and cut % 2:
            encoded += number(len(stretch) << 1) + stretch[0].to_bytes((dim + 7) // 8, "little")
        else:
            stretch = values[at : at + -(-cut // 8) * 8]
            groups = -(-len(stretch) // 8)
            bits = sum(value << (place * dim) for place, value in enumerate(stretch))
            encoded += number(groups << 1 | 1) + bits.to_bytes(groups * dim, "little")
        at += len(stretch)
        if at >= len(values):
            return encoded
    return encoded + encode(values[at:], dim, [8 * 63])


@given(
    dim=st.integers(1, 32),
    seed=st.integers(0, 10**6),
    count=st.integers(1, 3000),
    cuts=st.lists(st.integers(1, 700), max_size=8),
)
def test_unpack_gives_back_what_was_packed(dim: int, seed: int, count: int, cuts: list[int]) -> None:
    chance = np.random.default_rng(seed)
    values = chance.integers(0, 2**dim, count).tolist() if seed % 3 else [seed % 2**dim] * count
    encoded = np.frombuffer(encode(values, dim, cuts), np.uint8)
    assert unpack(encoded, dim, count).tolist() == values


@settings(max_examples=200)
@given(
    period=st.integers(0, 70),
    first=st.integers(0, 200),
    count=st.integers(1, 2000),
    top=st.integers(1, 3),
    cuts=st.lists(st.integers(1, 700), max_size=12),
    spoil=st.none() | st.integers(0, 1999),
)
def test_regular_means_the_pattern_and_nothing_else(
    period: int, first: int, count: int, top: int, cuts: list[int], spoil: int | None
) -> None:
    levels = [0 if period and place % period == 0 else top for place in range(first, first + count)]
    if spoil is not None and spoil < count:
        levels[spoil] = 0 if levels[spoil] else top
    good = spoil is None or spoil >= count
    encoded = np.frombuffer(encode(levels, top.bit_length(), cuts), np.uint8)
    assert regular(encoded, top, first, count, period) == good
    with pytest.raises((AssertionError, IndexError, NeedsArrowReader)):  # one level more than there is
        assert regular(encoded[:-1], top, first, count, period)


def test_a_long_column_of_alike_lists_is_followed_by_its_repetitions() -> None:
    """20,000 lists as pyarrow encodes them: far more runs than are followed one by one."""
    row = bytes([3, 0xFE]) + number(376 << 1) + b"\1"
    assert regular(np.frombuffer(row * 20_000, np.uint8), 1, 0, 384 * 20_000, 384)
    spoilt = row * 19_999 + bytes([3, 0xFA]) + row[2:]
    assert not regular(np.frombuffer(spoilt, np.uint8), 1, 0, 384 * 20_000, 384)


@given(st.binary(max_size=40), st.integers(0, 3), st.integers(1, 500))
def test_no_bytes_crash_or_loop(data: bytes, dim: int, count: int) -> None:
    octets = np.frombuffer(data, np.uint8)
    with suppress(NeedsArrowReader, IndexError):
        assert unpack(octets, dim, count).shape == (count,)
    with suppress(NeedsArrowReader, IndexError):
        # 500 levels and fewer take a byte or more in any encoding that says they are regular.
        assert not regular(octets, max(1, dim), 0, count, 5) or len(octets)


def test_headers() -> None:
    header, length = read_header(memoryview(HEADER + b"more"))
    assert (header.kind, header.plain_bytes, header.stored_bytes, header.values) == (0, 20, 20, 2)
    assert (header.checksum, length) == (None, len(HEADER))
    for end in range(len(HEADER)):
        with pytest.raises(IndexError):
            read_header(memoryview(HEADER[:end]))


@given(st.binary(max_size=60))
def test_no_header_crashes(data: bytes) -> None:
    for content in (data, HEADER[: len(data) % len(HEADER)] + data):
        try:
            header, length = read_header(memoryview(content))
        except (NeedsArrowReader, IndexError):
            continue
        assert header.stored_bytes >= 0
        assert length <= len(content)
