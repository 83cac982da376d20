"""Uncentred second moments of vectors, mergeable over blocks, the PCA rotation they give, and the initial basis.

The rotation is not centred on purpose: subtracting the mean would change the cosines of what is stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from adaptor.rows import Doubles, Floats, unit_rows
from adaptor.settings import Metric


@dataclass(frozen=True, kw_only=True)
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
    return Moments(
        rows=len(rows),
        total=rows.sum(axis=0),
        outer=rows.T @ rows,
        shortest=float(lengths.min()),
        longest=float(lengths.max()),
    )


def merge_moments(parts: Sequence[Moments]) -> Moments:
    """Join the moments of blocks, added in the order given: fixed blocks in a fixed order give the same bits on any
    cluster."""
    total, outer = parts[0].total.copy(), parts[0].outer.copy()
    for part in parts[1:]:
        total += part.total
        outer += part.outer
    return Moments(
        rows=sum(part.rows for part in parts),
        total=total,
        outer=outer,
        shortest=min(part.shortest for part in parts),
        longest=max(part.longest for part in parts),
    )


def rotation(sample: Moments) -> Floats:
    """Eigenvectors of the second moment as columns, by falling eigenvalue: float32 (d, d), orthogonal.

    The sign of each column is fixed (its largest entry is positive), so that equal moments give equal bytes.
    """
    _, vectors = np.linalg.eigh(sample.outer / sample.rows)
    columns = vectors[:, ::-1]
    largest = np.abs(columns).argmax(axis=0)
    signs = np.sign(columns[largest, np.arange(len(columns))])
    return np.asarray(columns * np.where(signs == 0, 1, signs), np.float32)


@dataclass(frozen=True)
class InitialBasis:
    """The coordinates that training works in: unit rows (cosine) or rows over `scale` (other metrics), times `matrix`
    (d, d), the PCA rotation or the identity.

    Both keep every full-dimension inner product, so the teacher's similarities are those of the originals.
    """

    matrix: Floats
    scale: float
    metric: Metric

    def transform(self, vectors: Floats) -> Floats:
        """Original vectors float32 (n, d) in these coordinates: float32 (n, d)."""
        cosine = self.metric == "cosine"
        rows: Floats = unit_rows(vectors) if cosine else np.divide(vectors, self.scale, dtype=np.float32)
        rotated: Floats = rows @ self.matrix
        return rotated
