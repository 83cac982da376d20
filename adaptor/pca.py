"""Uncentred second moments of vectors, mergeable over blocks, and the PCA rotation they give.

The rotation is not centred on purpose: subtracting the mean would change the cosines of what is stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adaptor.rows import Floats, unit_rows
from adaptor.settings import Metric

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """Sums over rows: `rows`, `total` Σe (d,), `outer` Σ eᵀe (d, d) and the extremes of the rows' lengths, all
    float64."""

    rows: int
    total: Doubles
    outer: Doubles
    shortest: float
    longest: float


def moments(vectors: Floats, metric: Metric) -> Moments:
    """Moments of (n, d) vectors, n ≥ 1; for the cosine metric those of the unit rows. The lengths are always the
    original ones."""
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
    rows = (unit_rows(vectors) if metric == "cosine" else vectors).astype(np.float64)
    return Moments(len(rows), rows.sum(axis=0), rows.T @ rows, float(lengths.min()), float(lengths.max()))


def merge_moments(parts: Sequence[Moments]) -> Moments:
    """Join the moments of blocks, added in the order given: fixed blocks in a fixed order give the same bits on any
    cluster."""
    total, outer = parts[0].total.copy(), parts[0].outer.copy()
    for part in parts[1:]:
        total += part.total
        outer += part.outer
    rows = sum(part.rows for part in parts)
    return Moments(rows, total, outer, min(p.shortest for p in parts), max(p.longest for p in parts))


def rotation(found: Moments) -> Floats:
    """Eigenvectors of the second moment as columns, by falling eigenvalue: float32 (d, d), orthogonal.

    The sign of each column is fixed (its largest entry is positive), so that equal moments give equal bytes.
    """
    _, vectors = np.linalg.eigh(found.outer / found.rows)
    columns = vectors[:, ::-1]
    largest = np.abs(columns).argmax(axis=0)
    signs = np.sign(columns[largest, np.arange(len(columns))])
    return np.asarray(columns * np.where(signs == 0, 1, signs), np.float32)
