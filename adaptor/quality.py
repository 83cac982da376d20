"""What a prefix keeps of the original geometry, measured without labels (method.md; paper, Figure 7)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adaptor.neighbours import Ids
from adaptor.rows import Floats, unit_rows
from adaptor.settings import Metric

Scores = NDArray[np.float64]


def overlap_at_k(truth: Ids, found: Ids, k: int) -> Scores:
    """Share of the k true neighbours `truth[:, :k]` among `found[:, :k]`, per query: int64 (q, ≥k) twice → float64
    (q,).

    A query with fewer than k true neighbours (id -1 fills up) is judged on those that it has; with none it scores 1.
    """
    true, seen = truth[:, :k], found[:, :k]
    hits = ((true[:, :, None] == seen[:, None, :]) & (true[:, :, None] >= 0)).any(axis=2).sum(axis=1)
    wanted = (true >= 0).sum(axis=1)
    return np.where(wanted > 0, hits / np.maximum(wanted, 1), 1.0)


def similarities(left: Floats, right: Floats, metric: Metric) -> Floats:
    """Similarity of every row of `left` (p, d) to every row of `right` (q, d): float32 (p, q)."""
    if metric == "cosine":
        left, right = unit_rows(left), unit_rows(right)
    products: Floats = left @ right.T
    if metric != "l2":
        return products
    squares = np.einsum("nd,nd->n", left, left)[:, None] + np.einsum("nd,nd->n", right, right)
    distances: Floats = 2 * products - squares
    return distances


def pairwise_distance(full: Floats, short: Floats, metric: Metric) -> Scores:
    """Mean |full-width similarity - prefix similarity| of each row to all others: (n, d) and (n, m) → float64 (n,)."""
    changes = np.abs(similarities(full, full, metric) - similarities(short, short, metric)).astype(np.float64)
    np.fill_diagonal(changes, 0)
    return np.asarray(changes.sum(axis=1) / max(1, len(full) - 1))


def topk_distance(truth: Floats, short: Floats) -> Scores:
    """Mean |full-width - prefix similarity| to the k nearest neighbours: two (q, k) of similarities → float64 (q,).

    Columns where a query has no k-th neighbour hold -inf in `truth` and are left out.
    """
    there = np.isfinite(truth)
    changes = np.where(there, np.abs(np.where(there, truth, 0) - np.where(there, short, 0)), 0).astype(np.float64)
    return np.asarray(changes.sum(axis=1) / np.maximum(there.sum(axis=1), 1))
