"""Quantisers: rows of numbers (n, m) to codes and back. The coordinates are the codec's (codec.py).

Bits are packed within a vector, never across two. int4 and int2: number i of a byte stands in the i-th lowest bits, as
in faiss's ScalarQuantizer. binary: the first number is the most significant bit, as `numpy.packbits` has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from adaptor.rows import Floats

Codes = NDArray[Any]

#: Rows that are coded at once: few enough for the cache.
_BLOCK_ROWS = 1024
_LARGEST_FLOAT16 = float(np.finfo(np.float16).max)
#: Distance of neighbouring float16 numbers, relative to them and at the least.
_FLOAT16_STEP, _SMALLEST_FLOAT16 = 2.0**-10, 2.0**-24


class Quantiser(Protocol):
    """How numbers become codes."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Numpy type of one entry of a code."""

    @property
    def width(self) -> int:
        """How many entries a code has."""

    def quantise(self, rows: Floats) -> Codes:
        """Float32 (n, m) → codes (n, width): rounded to nearest, clipped where the codes end, never wrapped."""

    def reconstruct(self, codes: Codes) -> Floats:
        """Codes (n, width) → what they stand for, float32 (n, m)."""

    def clip(self, rows: Floats) -> Floats:
        """Float32 (n, m) within the range that the codes can hold."""

    def clipped(self, rows: Floats) -> int:
        """How many numbers of float32 (n, m) lie beyond what the codes are meant to hold."""

    def tolerance(self, rows: Floats) -> Floats:
        """How far each reconstructed number (n, m) may be from the one that was coded, clipped ones aside."""


@dataclass(frozen=True)
class Float:
    """Numbers as they are (float32), or rounded to nearest (float16), where what lies beyond ±65,504 becomes that."""

    width: int
    dtype: np.dtype[Any]

    def quantise(self, rows: Floats) -> Codes:
        """The numbers in this type."""
        return self.clip(rows).astype(self.dtype, copy=False)

    def reconstruct(self, codes: Codes) -> Floats:
        """The same numbers as float32."""
        return codes.astype(np.float32, copy=False)

    def clip(self, rows: Floats) -> Floats:
        """Float32 holds all of them."""
        return rows if self._exact else np.clip(rows, -_LARGEST_FLOAT16, _LARGEST_FLOAT16)

    def clipped(self, rows: Floats) -> int:
        """Numbers beyond ±65,504 in float16."""
        return 0 if self._exact else _beyond(rows, _LARGEST_FLOAT16)

    def tolerance(self, rows: Floats) -> Floats:
        """One step between neighbouring float16 numbers."""
        if self._exact:
            return np.zeros_like(rows)
        return np.maximum(np.abs(rows) * np.float32(_FLOAT16_STEP), np.float32(_SMALLEST_FLOAT16))

    @property
    def _exact(self) -> bool:
        return self.dtype == np.float32


@dataclass(frozen=True)
class SymmetricInt8:
    """Whole numbers -127 to 127 of one `step`: a dot product or cosine of codes is that of the vectors.

    With an `offset` of 128 the codes are 1 to 255 (uint8), whose Euclidean distances are those of the vectors.
    """

    width: int
    step: float
    offset: int = 0

    @property
    def dtype(self) -> np.dtype[Any]:
        """Int8, or uint8 with an offset."""
        return np.dtype(np.uint8 if self.offset else np.int8)

    def quantise(self, rows: Floats) -> Codes:
        """Rounded to nearest, ties to even."""
        codes = np.empty((len(rows), self.width), self.dtype)
        for part in _parts(len(rows)):
            scaled = rows[part] * np.float32(1 / self.step)
            np.rint(np.clip(scaled, -127, 127, out=scaled), out=scaled)
            if self.offset:
                scaled += self.offset
            codes[part] = scaled
        return codes

    def reconstruct(self, codes: Codes) -> Floats:
        """Step times code."""
        numbers = codes.astype(np.float32)
        numbers -= self.offset
        numbers *= np.float32(self.step)
        return numbers

    def clip(self, rows: Floats) -> Floats:
        """Within ±127 steps."""
        most = np.float32(127 * self.step)
        return np.clip(rows, -most, most)

    def clipped(self, rows: Floats) -> int:
        """Numbers that are farther than half a step beyond ±127 steps."""
        return _beyond(rows, 127.5 * self.step)

    def tolerance(self, rows: Floats) -> Floats:
        """Half a step."""
        return np.full_like(rows, self.step / 2)


@dataclass(frozen=True)
class MidRise:
    """2^bits uniform levels around a `centre` (m,): (u - 2^(bits-1) + ½)·step + centre for u = 0 … 2^bits - 1.

    The outermost levels stand for all that lies beyond. One bit is the sign.
    """

    bits: int
    step: float
    centre: Floats

    @property
    def dtype(self) -> np.dtype[Any]:
        """Bytes."""
        return np.dtype(np.uint8)

    @property
    def width(self) -> int:
        """Bytes of a code."""
        return len(self.centre) * self.bits // 8

    def quantise(self, rows: Floats) -> Codes:
        """The nearest level; of two equally near the upper."""
        codes = np.empty((len(rows), self.width), np.uint8)
        shift = np.float32(self._levels / 2) - self.centre / np.float32(self.step)
        for part in _parts(len(rows)):
            scaled = rows[part] * np.float32(1 / self.step)
            scaled += shift
            codes[part] = self._packed(np.clip(scaled, 0, self._levels - 1, out=scaled))
        return codes

    def reconstruct(self, codes: Codes) -> Floats:
        """The levels, centre included."""
        numbers = self.levels(codes)
        numbers += self.centre
        return numbers

    def levels(self, codes: Codes) -> Floats:
        """The levels without the centre: float32 (n, m)."""
        return np.take(self._table, codes, axis=0, mode="clip").reshape(len(codes), len(self.centre))

    def clip(self, rows: Floats) -> Floats:
        """Between the outermost levels."""
        most = np.float32((self._levels - 1) / 2 * self.step)
        return np.clip(rows, self.centre - most, self.centre + most)

    def clipped(self, rows: Floats) -> int:
        """None: the outermost levels are meant for the tails."""
        return 0

    def tolerance(self, rows: Floats) -> Floats:
        """Half a step."""
        return np.full_like(rows, self.step / 2)

    @property
    def _levels(self) -> int:
        return 1 << self.bits

    @cached_property
    def _table(self) -> Floats:
        """The levels of the 8/bits numbers of every byte: float32 (256, 8/bits)."""
        shifts = np.arange(0, 8, self.bits)
        if self.bits == 1:
            shifts = shifts[::-1]
        codes = np.arange(256)[:, None] >> shifts & (self._levels - 1)
        return ((codes - self._levels / 2 + 0.5) * self.step).astype(np.float32)

    def _packed(self, codes: Floats) -> Codes:
        """Whole parts of numbers (n, m) in [0, 2^bits) as bytes (n, width)."""
        if self.bits == 1:
            return np.packbits(codes >= 1, axis=1)
        if self.bits == 2:
            words = np.ascontiguousarray(codes, np.uint8).view("<u4")
            return np.asarray(words | words >> 6 | words >> 12 | words >> 18, np.uint8)
        pairs = np.ascontiguousarray(codes, np.uint8).view("<u2")
        return np.asarray(pairs | pairs >> 4, np.uint8)


def _beyond(rows: Floats, most: float) -> int:
    """How many numbers of rows (n, m) are larger in size than `most`; cheap where there are none."""
    if rows.max(initial=0) <= most and rows.min(initial=0) >= -most:
        return 0
    return int(np.count_nonzero(np.abs(rows) > np.float32(most)))


def _parts(rows: int) -> Iterator[slice]:
    return (slice(start, start + _BLOCK_ROWS) for start in range(0, rows, _BLOCK_ROWS))
