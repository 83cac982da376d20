"""Arrays of vectors: their types, their lengths, and what counts as one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adaptor.errors import InputError

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ids = NDArray[np.int64]

#: How far from 1 a vector's length may be when all vectors that fit saw had length 1.
LENGTH_TOLERANCE = 1e-2
#: Squared lengths between which a row passes through a linear map as it is.
UNSCALED_SQUARES = (1e-6, 1e6)


def as_numbers(vectors: ArrayLike) -> NDArray[Any]:
    """An array of real numbers, of any float or integer type. Raises InputError for ragged lists, texts and the
    like."""
    try:
        array = np.asarray(vectors)
    except ValueError as problem:
        raise InputError("vectors are ragged: their rows differ in length; give as many numbers in each") from problem
    if array.dtype.kind not in "fiu":
        raise InputError(f"vectors are of type {array.dtype}: give numbers (floats or integers)")
    return array


def unit_rows(vectors: Floats) -> Floats:
    """Rows scaled to length 1, float32 (n, d) → float32 (n, d); a zero row stays zero."""
    return vectors * scale(np.sqrt(np.einsum("nd,nd->n", vectors, vectors)))


def scale(lengths: Floats) -> Floats:
    """What rows of these lengths are multiplied by, float32 (n,) → (n, 1)."""
    # A row of denormals can have a finite direction and a length that underflows to 0: it counts as a zero row.
    return np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)[:, None]


def rescale_rows(block: Floats, squares: Floats) -> Floats:
    """Rows of extreme length scaled to length 1, all others as they are.

    A linear map leaves their scale to the normalisation of the result, as long as nothing leaves float32 on the way.
    """
    extreme = np.flatnonzero((squares < UNSCALED_SQUARES[0]) | (squares > UNSCALED_SQUARES[1]))
    if len(extreme):
        block = block.copy()
        block[extreme] *= scale(np.sqrt(squares[extreme]))
    return block
