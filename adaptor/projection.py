"""The map of an adaptor to one dim, as a numpy function of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adaptor.errors import InputError
from adaptor.rows import Doubles, Floats, rescale_rows, scale
from adaptor.settings import Metric

#: Rows that pass through at once; bounds the memory of a transform and keeps the block in the processor's cache.
_BLOCK_ROWS = 4096
#: Multiplications that one matrix product has at least: numeric libraries sum up small products, and those of a single
#: row, in another order. Padded with zero rows, a row comes out the same alone and among many.
_LEAST_PRODUCT = (1 << 20) + 1


@dataclass(frozen=True)
class Perceptron:
    """What the mlp architecture adds to the linear part: relu(e·hidden_weight + hidden_bias)·output_weight +
    output_bias, with `hidden_weight` (d, h), `hidden_bias` (h,), `output_weight` (h, m), `output_bias` (m,)."""

    hidden_weight: Floats
    hidden_bias: Floats
    output_weight: Floats
    output_bias: Floats


@dataclass(frozen=True)
class Projection:
    """Vectors (n, d) to (n, m): e·columns (d, m), plus the perceptron where there is one; unit rows for cosine."""

    columns: Floats
    metric: Metric
    perceptron: Perceptron | None = None

    def transform_rows(self, vectors: NDArray[Any], squares: Floats | None = None) -> Floats:
        """Vectors (n, d) of any float or integer type → float32 (n, m).

        `squares` (n,) are the squared lengths, where they are known. Raises InputError for a row with NaN or infinity.
        """
        short = np.empty((len(vectors), self.columns.shape[1]), np.float32)
        for rows, block in row_blocks(vectors):
            lengths = np.einsum("nd,nd->n", block, block) if squares is None else squares[rows]
            self._adapt(self._rescaled(block, lengths, rows.start), short[rows])
            normalise(short[rows], self.metric)
        return short

    @cached_property
    def _fewest_rows(self) -> int:
        """Rows that pass through the matrices at least."""
        matrices = [self.columns]
        if self.perceptron is not None:
            matrices += [self.perceptron.hidden_weight, self.perceptron.output_weight]
        return min(_BLOCK_ROWS, -(-_LEAST_PRODUCT // max(1, min(matrix.size for matrix in matrices))))

    def rotated(self, rotate: Callable[[Doubles], Doubles]) -> Projection:
        """The same with outputs turned by a rotation of rows (n, m) → (n, m), folded into the matrices."""

        def turned(rows: Floats) -> Floats:
            """Rows (n, m), computed in float64."""
            return rotate(np.atleast_2d(rows).astype(np.float64)).astype(np.float32)

        perceptron = self.perceptron and replace(
            self.perceptron,
            output_weight=turned(self.perceptron.output_weight),
            output_bias=turned(self.perceptron.output_bias)[0],
        )
        return replace(self, columns=turned(self.columns), perceptron=perceptron)

    def _rescaled(self, block: Floats, squares: Floats, first_row: int) -> Floats:
        """Rows (r, d) that the map can take: finite, and of a length (cosine's does not matter) that it needs."""
        if not np.isfinite(squares).all():
            row = first_row + int(np.flatnonzero(~np.isfinite(squares))[0])
            raise InputError(f"row {row} holds NaN, infinity or overflows float32; remove it before transforming")
        if self.metric != "cosine":
            return block
        return rescale_rows(block, squares) if self.perceptron is None else block * scale(np.sqrt(squares))

    def _adapt(self, block: Floats, short: Floats) -> None:
        """Rows (r, d) through the matrices, into `short` (r, m)."""
        if missing := max(0, self._fewest_rows - len(block)):
            padded = np.empty((self._fewest_rows, short.shape[1]), np.float32)
            self._adapt(np.pad(block, ((0, missing), (0, 0))), padded)
            short[:] = padded[: len(block)]
            return
        np.matmul(block, self.columns, out=short)
        if (perceptron := self.perceptron) is not None:
            hidden = np.maximum(block @ perceptron.hidden_weight + perceptron.hidden_bias, 0)
            short += hidden @ perceptron.output_weight + perceptron.output_bias


def normalise(short: Floats, metric: Metric) -> None:
    """Scale rows (n, m) to length 1 for cosine, in place; a zero row stays zero."""
    if metric == "cosine":
        short *= scale(np.sqrt(np.einsum("nd,nd->n", short, short)))


def row_blocks(vectors: NDArray[Any]) -> Iterator[tuple[slice, Floats]]:
    """Stretches of rows, and what stands there as contiguous float32."""
    for start in range(0, len(vectors), _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinity, and is refused by row
            block = np.ascontiguousarray(vectors[rows], dtype=np.float32)
        yield rows, block
