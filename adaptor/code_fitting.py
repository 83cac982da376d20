"""Fits the codes of an adaptor on a sample: for each dim a rotation, a centre, and for each encoding a step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adaptor.artefact import Adaptor
from adaptor.codec import BITS, STEPPED
from adaptor.rotation import DrawnRotation, LearnedRotation, Rotation
from adaptor.rotation_fitting import learn_rotation
from adaptor.rows import Doubles, Floats

#: Tensors by name, as `codes.safetensors` has them.
FittedCodes = dict[str, NDArray[Any]]

#: Rows that centres and rotations are fitted on, at most.
_ROWS = 8192
#: Numbers that a step is fitted on, about.
_NUMBERS = 1 << 20
#: Widest dim with a learned rotation: it has dim² numbers, and wider vectors are coded well enough by a drawn one.
_LEARNED_UP_TO = 512
_BINS = 2048
#: Steps that are tried, as multiples of the standard deviation: geometric, 2% apart.
_STEPS = np.geomspace(0.05, 3.0, 208)


def usual_dims(input_dim: int, trained: Sequence[int]) -> list[int]:
    """Dims that get codes: multiples of 8 up to 256, then 8 in each octave, and the trained dims that are multiples of
    8 (whole bytes at one bit a number)."""
    dims, dim = set(trained), 8
    while dim <= input_dim:
        dims.add(dim)
        dim += 8 if dim < 256 else 1 << (dim.bit_length() - 4)
    return sorted(dim for dim in dims if dim % 8 == 0 and dim <= input_dim)


def fit_codes(
    adaptor: Adaptor, rows: Floats, held_out: Floats, seed: int, dims: Sequence[int] | None = None
) -> FittedCodes:
    """What `Adaptor.codec` needs, from original vectors (n, d) and held-out ones (h, d), as tensors: for each dim m
    `centre_m` (m,), `steps_m` (4,) of int8, int4, int2 and binary, and where it was learned `rotation_m` (m, m), all
    float32; and the `rotation_seed` (1,), int64, of the drawn rotations. `dims` are the usual ones where not given.

    A trained dim of up to 512 numbers learns its rotation. The centre is the mean of the rotated outputs. A step has
    the least squared error over the sample; that of int8 puts the largest number at 127 (or four times the 99%
    quantile, where that is less: a few vectors may be far longer than all others).
    """
    fitted: FittedCodes = {"rotation_seed": np.array([seed], np.int64)}
    for dim in usual_dims(adaptor.input_dim, adaptor.dims) if dims is None else dims:
        short = adaptor.transform_rows(rows[:_ROWS], dim=dim).astype(np.float64)
        rotation: Rotation = DrawnRotation(dim, seed)
        if dim in adaptor.dims and dim <= _LEARNED_UP_TO:
            unseen = adaptor.transform_rows(held_out, dim=dim).astype(np.float64)
            if (learned := learn_rotation(short, unseen, rotation)) is not None:
                fitted[f"rotation_{dim}"], rotation = learned, LearnedRotation(learned)
        centre = rotation.apply(short.mean(axis=0, keepdims=True))[0]
        some = np.unique(np.linspace(0, len(short) - 1, max(1, _NUMBERS // dim)).astype(np.int64))
        fitted[f"centre_{dim}"] = centre.astype(np.float32)
        fitted[f"steps_{dim}"] = _steps(rotation.apply(short[some]), centre)
    return fitted


def _steps(rotated: Doubles, centre: Doubles) -> Floats:
    """The steps of STEPPED for rotated rows (n, m): float32 (4,)."""
    largest = max(float(_bounded(np.abs(rotated)).max()), float(np.finfo(np.float32).tiny))
    sizes = _bounded(np.abs(rotated - centre))
    return np.array([largest / 127, *(_least_squares_step(sizes, BITS[name]) for name in STEPPED[1:])], np.float32)


def _bounded(sizes: Doubles) -> Doubles:
    """Sizes of numbers without outliers: a few vectors of a far greater length would take the levels of all others."""
    return np.minimum(sizes, 4 * np.quantile(sizes, 0.99))


def _least_squares_step(sizes: Doubles, bits: int) -> float:
    """The step of a mid-rise quantiser of 2^bits levels with the least squared error on numbers of these sizes, any
    shape."""
    spread = float(np.sqrt(np.square(sizes).mean())) or 1.0
    counts, edges = np.histogram(sizes, _BINS)
    middles = (edges[1:] + edges[:-1]) / 2
    steps = _STEPS[:, None] * spread
    level = np.minimum(np.floor(middles / steps), (1 << (bits - 1)) - 1) + 0.5
    errors = np.square(middles - level * steps) @ counts
    return float(steps[errors.argmin(), 0])
