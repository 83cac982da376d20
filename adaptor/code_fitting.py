"""Fits the codes of an adaptor on a sample: for each dim a centre, and for each encoding a step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adaptor.artefact import Adaptor
from adaptor.codec import BITS, STEPPED
from adaptor.rotation import Rotation
from adaptor.rows import Doubles, Floats

#: Tensors by name, as `codes.safetensors` has them.
FittedCodes = dict[str, NDArray[Any]]

#: Rows that centres and steps are fitted on, at most.
_ROWS = 8192
#: Numbers that a step is fitted on, about.
_NUMBERS = 1 << 20
_BINS = 2048
#: Steps that are tried, as multiples of the standard deviation: geometric, 2% apart.
_STEPS = np.geomspace(0.05, 3.0, 208)


def usual_dims(input_dim: int, trained: tuple[int, ...]) -> list[int]:
    """Dims that get codes: multiples of 8 up to 128, then 16 in each octave, and the trained dims; all of whole bytes
    at one bit a number."""
    dims, dim = set(trained), 8
    while dim <= input_dim:
        dims.add(dim)
        dim += max(8, 1 << max(0, (dim.bit_length() - 1) - 3))
    return sorted(dim for dim in dims if dim % 8 == 0 and dim <= input_dim)


def fit_codes(adaptor: Adaptor, rows: Floats, seed: int, dims: Sequence[int] | None = None) -> FittedCodes:
    """What `Adaptor.codec` needs, from original vectors (n, d): for each dim m `centre_m` (m,) and `steps_m` (4,), of
    int8, int4, int2 and binary, float32; and the `rotation_seed` (1,), int64. `dims` are the usual ones where not
    given.

    All are in rotated coordinates. The centre is the mean of the outputs. A step has the least squared error over the
    sample; that of int8 puts the largest number at 127.
    """
    fitted: FittedCodes = {"rotation_seed": np.array([seed], np.int64)}
    for dim in usual_dims(adaptor.input_dim, adaptor.dims) if dims is None else dims:
        short = adaptor.transform_rows(rows[:_ROWS], dim=dim).astype(np.float64)
        rotation = Rotation(dim, seed)
        centre = rotation.apply(short.mean(axis=0, keepdims=True))[0]
        some = np.unique(np.linspace(0, len(short) - 1, max(1, _NUMBERS // dim)).astype(np.int64))
        rotated = rotation.apply(short[some])
        largest = max(float(np.abs(rotated).max()), float(np.finfo(np.float32).tiny))
        numbers = np.abs(rotated - centre)
        steps = {encoding: _least_squares_step(numbers, BITS[encoding]) for encoding in STEPPED[1:]}
        fitted[f"centre_{dim}"] = centre.astype(np.float32)
        fitted[f"steps_{dim}"] = np.array([largest / 127, *(steps[name] for name in STEPPED[1:])], np.float32)
    return fitted


def _least_squares_step(numbers: Doubles, bits: int) -> float:
    """The step of a mid-rise quantiser of 2^bits levels with the least squared error on sizes of numbers, any shape."""
    spread = float(np.sqrt(np.square(numbers).mean())) or 1.0
    counts, edges = np.histogram(numbers, _BINS)
    middles = (edges[1:] + edges[:-1]) / 2
    steps = _STEPS[:, None] * spread
    level = np.minimum(np.floor(middles / steps), (1 << (bits - 1)) - 1) + 0.5
    errors = np.square(middles - level * steps) @ counts
    return float(steps[errors.argmin(), 0])
