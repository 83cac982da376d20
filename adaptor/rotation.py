"""Rotations of short vectors before they are coded: a drawn one that needs no storage, and one that was learned.

The drawn one is fast and the same on every machine: three rounds of random signs and Walsh-Hadamard transforms, as in
fast Johnson-Lindenstrauss transforms (Ailon and Chazelle, SIAM J. Comput. 39, 2009). A dimension that is no power of
two is covered by two overlapping transforms, of its first and of its last coordinates. The signs come from SHAKE-256,
so that any language can repeat them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from adaptor.rows import Doubles, Floats

_ROUNDS = 3


class Rotation(Protocol):
    """An orthogonal map of rows (n, m)."""

    def apply(self, rows: Doubles) -> Doubles:
        """Rotate rows, float64 (n, m) → float64 (n, m)."""

    def invert(self, rows: Doubles) -> Doubles:
        """Rotate back, float64 (n, m) → float64 (n, m)."""


@dataclass(frozen=True)
class LearnedRotation:
    """The orthogonal `matrix` (m, m) that rows are multiplied by."""

    matrix: Floats

    def apply(self, rows: Doubles) -> Doubles:
        """Rotate rows."""
        return rows @ self.matrix

    def invert(self, rows: Doubles) -> Doubles:
        """Rotate back."""
        return rows @ self.matrix.T


@dataclass(frozen=True)
class DrawnRotation:
    """An orthogonal map of `dim` coordinates, drawn by `seed`.

    Round r multiplies by signs, then transforms the first p coordinates, then (unless dim is p) the last p; p is the
    largest power of two up to dim. The signs of all rounds are the bits of SHAKE-256("matryoshka rotation SEED DIM"),
    most significant first: 1 is -1.
    """

    dim: int
    seed: int

    @cached_property
    def _signs(self) -> Doubles:
        bits = _ROUNDS * self.dim
        digest = hashlib.shake_256(f"matryoshka rotation {self.seed} {self.dim}".encode()).digest(-(-bits // 8))
        drawn = np.unpackbits(np.frombuffer(digest, np.uint8))[:bits]
        return np.where(drawn, -1.0, 1.0).reshape(_ROUNDS, self.dim)

    @property
    def _blocks(self) -> tuple[slice, ...]:
        size = 1 << (self.dim.bit_length() - 1)
        # Of a power of two only one: a second transform of the same coordinates would undo the first.
        return tuple(slice(start, start + size) for start in sorted({0, self.dim - size}))

    def apply(self, rows: Doubles) -> Doubles:
        """Rotate rows, float64 (n, dim) → float64 (n, dim)."""
        rotated = rows.copy()
        for signs in self._signs:
            rotated *= signs
            for block in self._blocks:
                rotated[:, block] = _walsh_hadamard(rotated[:, block])
        return rotated

    def invert(self, rows: Doubles) -> Doubles:
        """Rotate back, float64 (n, dim) → float64 (n, dim)."""
        original = rows.copy()
        for signs in self._signs[::-1]:
            for block in self._blocks[::-1]:
                original[:, block] = _walsh_hadamard(original[:, block])  # its own inverse
            original *= signs
        return original


def _walsh_hadamard(rows: Doubles) -> Doubles:
    """The orthonormal transform of rows (n, p), p a power of two: H_p = H_a ⊗ H_b with a·b = p, as two products."""
    count, size = rows.shape
    left = 1 << (size.bit_length() // 2)
    cube = rows.reshape(count, left, size // left) @ _hadamard(size // left)
    return (_hadamard(left) @ cube).reshape(count, size)


def _hadamard(size: int) -> Doubles:
    matrix = np.ones((1, 1))
    while len(matrix) < size:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return np.asarray(matrix / np.sqrt(size))
