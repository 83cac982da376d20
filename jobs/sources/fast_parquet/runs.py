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
    at = done = 0
    positions: dict[int, tuple[int, int]] = {}
    for _ in range(_MOST_RUNS):
        if done == count:
            return True
        phase = (first + done) % period if period else 0
        if phase in positions:
            at, done = _skip(levels, positions.pop(phase), (at, done), count)
            positions.clear()
            continue
        positions[phase] = at, done
        values, length, at = _run(levels, at, top.bit_length(), count - done, 1)
        until_zero = -(first + done) % period if period else length
        if isinstance(values, int):
            good = values == (top if until_zero else 0) and (length <= until_zero or period == 1 or length == 1)
        else:
            expected = np.full(length, top, np.uint32)
            expected[until_zero :: period or 1] = 0
            good = np.array_equal(values, expected)
        if not good:
            return False
        done += length
    return False


def unpack(data: Octets, bits: int, count: int) -> Numbers:
    """Decode `count` values of `bits` bits (0 to 32): uint32 (count,). `NeedsArrowReader` when the data ends before."""
    decoded = np.zeros(count, np.uint32)
    at = done = 0
    for _ in range(_MOST_RUNS):
        if done == count or not bits:
            return decoded
        values, length, at = _run(data, at, bits, count - done, _MOST_RUNS)
        decoded[done : done + length] = values
        done += length
    raise NeedsArrowReader("too many runs")


def _skip(levels: Octets, before: tuple[int, int], now: tuple[int, int], count: int) -> tuple[int, int]:
    """Positions (in bytes, in levels) after the repetitions of what stands between two positions of the same phase."""
    (at_before, done_before), (at, done) = before, now
    size, step = at - at_before, done - done_before
    times = min((len(levels) - at) // size, (count - done) // step)
    model = levels[at_before:at]
    if times > 0 and np.array_equal(levels[at : at + size], model):  # the first one alone, as most others fail there
        times = _equal_rows(levels[at : at + times * size].reshape(times, size), model)
        return at + times * size, done + times * step
    return at, done


def _run(data: Octets, start: int, bits: int, most: int, most_runs: int) -> tuple[int | Numbers, int, int]:
    """The run at `start`: its value if one repeats, else its values; how many, at most `most`; the position after it.

    Bit-packed runs with the same header that follow are taken with it, `most_runs` at most.
    """
    header, at = varint(data, start)
    groups = header >> 1
    if not header & 1:
        end = at + (bits + 7) // 8
        if end > len(data) or not groups:
            raise NeedsArrowReader("a run that is empty or ends too early")
        return int.from_bytes(data[at:end].tobytes(), "little"), min(groups, most), end
    step = at - start + groups * bits
    runs = min((len(data) - start) // step, -(-most // (groups * 8)), most_runs) if groups else 0
    if runs < 1:
        raise NeedsArrowReader("a run that is empty or ends too early")
    rows = data[start : start + runs * step].reshape(runs, step)
    runs = _equal_rows(rows[:, : at - start], rows[0, : at - start]) if runs > 1 else 1
    values = _unpacked(rows[:runs, at - start :].reshape(-1, bits), bits)[:most]
    return values, len(values), start + runs * step


def _equal_rows(rows: Octets, model: Octets) -> int:
    """How many rows from the first one on are the same as `model`."""
    same = (rows == model).all(axis=1)
    return len(same) if same.all() else int(np.argmin(same))


def _unpacked(packed: Octets, bits: int) -> Numbers:
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
