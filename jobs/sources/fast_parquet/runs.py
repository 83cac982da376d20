"""Parquet's hybrid of run-length encoding and bit-packing, in which levels and dictionary indices are stored.

A run is a header and either one value that repeats or groups of eight bit-packed values. Runs are followed one by one
in Python, but where the bytes repeat themselves, as those of lists of one length do, all repetitions are taken at once.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from jobs.sources.fast_parquet.headers import NeedsArrowReader, varint

Octets = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.uint32]

#: Runs of one page that are followed one by one, before it is given up as too irregular to be fast.
_MOST_RUNS = 20_000


def regular(levels: Octets, top: int, first: int, count: int, period: int) -> bool:
    """Whether the encoded levels number `first` to `first + count` of a column chunk are `top` throughout, but 0 at
    each multiple of `period` (`period` 0: without exception)."""
    dim = top.bit_length()
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
        length, at = _regular_run(levels, at, (dim, top), first + done, count - done, period)
        if not length:
            return False
        done += length
    return False


def unpack(data: Octets, dim: int, count: int) -> Numbers:
    """Decode `count` values of `dim` bits (0 to 32): uint32 (count,). `NeedsArrowReader` when the data ends before."""
    values = np.zeros(count, np.uint32)
    if not dim:
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
            packed, at = _packed(data, start, at, (header >> 1) * dim, (count - done) * dim)
            found = _groups(packed.reshape(-1, dim), dim)[: count - done]
            values[done : done + len(found)] = found
            done += len(found)
        else:
            value, at = _repeated(data, at, dim)
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
    dim, top = kind
    header, at = varint(levels, at)
    length = header >> 1
    if header & 1:
        size = length * dim
        if at + size > len(levels):
            return 0, at
        found = _groups(levels[at : at + size].reshape(-1, dim), dim)[:most]
        expected = np.full(len(found), top, np.uint32)
        if period:
            expected[-first % period :: period] = 0
        return len(found) if np.array_equal(found, expected) else 0, at + size
    value, at = _repeated(levels, at, dim)
    if length > most or not length:
        return 0, at
    if value == top:
        good = not period or -first % period >= length
    else:
        good = value == 0 and (period == 1 or (period > 1 and length == 1 and first % period == 0))
    return length if good else 0, at


def _repeated(data: Octets, at: int, dim: int) -> tuple[int, int]:
    end = at + (dim + 7) // 8
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


def _groups(packed: Octets, dim: int) -> Numbers:
    """Unpack groups of eight values: uint8 (g, dim) → uint32 (8g,)."""
    if dim == 1:
        return np.unpackbits(packed.reshape(-1), bitorder="little").astype(np.uint32)
    values = np.empty((len(packed), 8), np.uint32)
    for place in range(8):
        low, high = place * dim, (place + 1) * dim
        word = np.zeros(len(packed), np.uint64)
        for index in range(low // 8, (high + 7) // 8):
            word |= packed[:, index].astype(np.uint64) << np.uint64(8 * (index - low // 8))
        values[:, place] = (word >> np.uint64(low % 8)) & np.uint64((1 << dim) - 1)
    return values.reshape(-1)
