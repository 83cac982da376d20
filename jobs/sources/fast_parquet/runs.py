"""Parquet's hybrid of run-length encoding and bit-packing, which holds levels and dictionary indices.

A run is a header and either one value that repeats or groups of eight bit-packed values. Python follows runs one by
one, but takes repeated bytes, such as those of lists of one length, all at once.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from jobs.sources.fast_parquet.headers import NeedsArrowReader, varint

Octets = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.uint32]

#: Runs of one page that are followed one by one; with more it is too irregular to be fast.
_MOST_RUNS = 20_000


def regular(levels: Octets, top: int, first: int, count: int, period: int) -> bool:
    """Whether the encoded levels number `first` to `first + count` of a column chunk are 0 at each multiple of `period`
    (0: nowhere) and `top` elsewhere."""
    bits = top.bit_length()
    at = done = 0
    seen: dict[int, tuple[int, int]] = {}
    for _ in range(_MOST_RUNS):
        if done == count:
            return True
        phase = (first + done) % period if period else 0
        if phase in seen:
            at, done = _skip(levels, seen.pop(phase), (at, done), count)
            seen.clear()
            if done == count:
                return True
        seen[phase] = at, done
        length, at = _regular_run(levels, at, (bits, top), first + done, count - done, period)
        if not length:
            return False
        done += length
    return False


def unpack(data: Octets, bits: int, count: int) -> Numbers:
    """Decode `count` values of `bits` bits (0 to 32): uint32 (count,). `NeedsArrowReader` when the data ends before."""
    values = np.zeros(count, np.uint32)
    if not bits:
        return values
    at = done = 0
    for _ in range(_MOST_RUNS):
        if done == count:
            return values
        start = at
        header, at = varint(data, at)
        if not header >> 1:
            raise NeedsArrowReader("an empty run")
        if header & 1:
            packed, at = _packed(data, start, at, (header >> 1) * bits, (count - done) * bits)
            unpacked = _groups(packed.reshape(-1, bits), bits)[: count - done]
            values[done : done + len(unpacked)] = unpacked
            done += len(unpacked)
        else:
            value, at = _repeated(data, at, bits)
            length = min(header >> 1, count - done)
            values[done : done + length] = value
            done += length
    raise NeedsArrowReader("too many runs")


def _skip(levels: Octets, before: tuple[int, int], now: tuple[int, int], count: int) -> tuple[int, int]:
    """Positions (in bytes, in levels) after the repetitions of what stands between two positions of the same phase."""
    (at_before, done_before), (at, done) = before, now
    size, step = at - at_before, done - done_before
    times = min((len(levels) - at) // size, (count - done) // step)
    model = levels[at_before:at]
    if times < 1 or not np.array_equal(levels[at : at + size], model):
        return at, done
    same = (levels[at : at + times * size].reshape(times, size) == model).all(axis=1)
    times = times if same.all() else int(np.argmin(same))
    return at + times * size, done + times * step


def _regular_run(levels: Octets, at: int, kind: tuple[int, int], first: int, most: int, period: int) -> tuple[int, int]:
    """Number of levels of the run at `at`, 0 when they are not as they should be, and the position after it."""
    bits, top = kind
    header, at = varint(levels, at)
    length = header >> 1
    if header & 1:
        size = length * bits
        if at + size > len(levels):
            return 0, at
        unpacked = _groups(levels[at : at + size].reshape(-1, bits), bits)[:most]
        expected = np.full(len(unpacked), top, np.uint32)
        if period:
            expected[-first % period :: period] = 0
        return len(unpacked) if np.array_equal(unpacked, expected) else 0, at + size
    value, at = _repeated(levels, at, bits)
    if length > most or not length:
        return 0, at
    if value == top:
        good = not period or -first % period >= length
    else:
        good = value == 0 and (period == 1 or (period > 1 and length == 1 and first % period == 0))
    return length if good else 0, at


def _repeated(data: Octets, at: int, bits: int) -> tuple[int, int]:
    end = at + (bits + 7) // 8
    if end > len(data):
        raise NeedsArrowReader("a run that ends too early")
    return int.from_bytes(data[at:end].tobytes(), "little"), end


def _packed(data: Octets, start: int, body: int, size: int, most_bits: int) -> tuple[Octets, int]:
    """The packed bytes of the run whose header is at `start`, and of those behind it with the same header."""
    step = body - start + size
    runs = min((len(data) - start) // step, -(-most_bits // (size * 8)))
    if runs < 1:
        raise NeedsArrowReader("a run that ends too early")
    rows = data[start : start + runs * step].reshape(runs, step)
    same = (rows[:, : body - start] == rows[0, : body - start]).all(axis=1)
    runs = runs if same.all() else int(np.argmin(same))
    return rows[:runs, body - start :].reshape(-1), start + runs * step


def _groups(packed: Octets, bits: int) -> Numbers:
    """Unpack groups of eight values: uint8 (g, bits) → uint32 (8g,)."""
    if bits == 1:
        return np.unpackbits(packed.reshape(-1), bitorder="little").astype(np.uint32)
    values = np.empty((len(packed), 8), np.uint32)
    for index in range(8):
        low, high = index * bits, (index + 1) * bits
        word = np.zeros(len(packed), np.uint64)
        for byte in range(low // 8, (high + 7) // 8):
            word |= packed[:, byte].astype(np.uint64) << np.uint64(8 * (byte - low // 8))
        values[:, index] = (word >> np.uint64(low % 8)) & np.uint64((1 << bits) - 1)
    return values.reshape(-1)
