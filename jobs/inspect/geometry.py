"""What vectors look like as a cloud: lengths, dead and dominant dimensions, centre, spectrum."""

from __future__ import annotations

from typing import Any

import numpy as np

from adaptor.pca import moments
from adaptor.rows import LENGTH_TOLERANCE, Doubles, Floats, unit_rows
from adaptor.settings import DIM_LADDER, Metric

#: A dimension is dominant when it holds this many times its share of the squares, and this much of all.
_DOMINANT_TIMES, _DOMINANT_SHARE = 20.0, 0.05


def lengths_of(vectors: Floats) -> dict[str, Any]:
    """Least, median and greatest length, and the share of rows whose length is 1."""
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
    unit = np.abs(lengths - 1) <= LENGTH_TOLERANCE
    return {
        "min": float(lengths.min()),
        "median": float(np.median(lengths)),
        "max": float(lengths.max()),
        "unit_share": float(unit.mean()),
    }


def odd_dimensions(vectors: Floats) -> dict[str, list[int]]:
    """Dimensions that never change, and those that hold much more of the squares than others."""
    spread = vectors.max(axis=0) - vectors.min(axis=0)
    squares = np.einsum("nd,nd->d", vectors, vectors, dtype=np.float64)
    shares = squares / max(float(squares.sum()), np.finfo(np.float64).tiny)
    dominant = np.flatnonzero((shares > _DOMINANT_TIMES / len(shares)) & (shares > _DOMINANT_SHARE))
    return {
        "constant": np.flatnonzero(spread == 0).tolist(),
        "dominant": sorted(dominant.tolist(), key=lambda dim: -float(shares[dim])),
    }


def off_centre(vectors: Floats) -> float:
    """Length of the mean of the unit vectors, from 0 (all around) to 1 (all the same)."""
    return float(np.linalg.norm(unit_rows(vectors).mean(axis=0, dtype=np.float64)))


def spectrum(vectors: Floats, metric: Metric) -> dict[str, Any]:
    """How the squares fall off over the principal directions (not centred, as the adaptor has it): the share that the
    first k hold, for usual k; how many directions count (participation ratio); and how many hold 90%."""
    sample = moments(vectors, metric)
    values: Doubles = np.linalg.eigvalsh(sample.outer)[::-1].clip(0)
    shares = np.cumsum(values) / max(float(values.sum()), np.finfo(np.float64).tiny)
    centred = np.linalg.eigvalsh(sample.outer / sample.rows - np.outer(sample.total, sample.total) / sample.rows**2)
    centred = centred.clip(0)
    dim = len(values)
    return {
        "share_of_squares": {k: float(shares[k - 1]) for k in (*DIM_LADDER, dim) if k <= dim},
        "participation_ratio": float(centred.sum() ** 2 / max(float((centred**2).sum()), np.finfo(np.float64).tiny)),
        "directions_for_90_percent": int(np.searchsorted(shares, 0.9) + 1),
        "rank_limit": min(sample.rows, dim),
    }
