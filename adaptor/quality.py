"""What a prefix keeps of the original geometry, measured without labels (paper, Figure 7)."""

from __future__ import annotations

import numpy as np

from adaptor.pairs import score_pairs
from adaptor.rows import Doubles, Floats, Ids, unit_rows
from adaptor.settings import Metric

#: A number for each query.
Scores = Doubles

#: In the graded overlap the farthest of a query's true neighbours counts exp(-3) of the nearest.
_GRADES = 3.0
#: Least distance between these two, of the nearest's similarity: neighbours that are equal but for rounding count the
#: same.
_LEAST_RANGE = 1e-5


def overlap_at_k(truth: Ids, ranked: Ids, k: int) -> Scores:
    """Share of the k true neighbours `truth[:, :k]` among `ranked[:, :k]`, per query: int64 (q, ≥k) twice → float64
    (q,).

    A query with fewer than k true neighbours (id -1 fills up) is judged on those that it has; with none it scores 1.
    """
    true, near = truth[:, :k], ranked[:, :k]
    hits = ((true[:, :, None] == near[:, None, :]) & (true[:, :, None] >= 0)).any(axis=2).sum(axis=1)
    wanted = (true >= 0).sum(axis=1)
    return np.where(wanted > 0, hits / np.maximum(wanted, 1), 1.0)


def graded_overlap(queries: Floats, corpus: Floats, truth: Ids, ranked: Ids, metric: Metric) -> Scores:
    """nDCG@k of the rows `ranked` (q, k) with the true neighbours `truth` (q, k), best first, as the ideal: float64
    (q,), at most 1. Of several such rankings (w, q, k) at once: (w, q).

    A row's gain is exp(3 (s - s₁) / (s₁ - s_k)): s is its full-dimension similarity, s₁ and s_k those of the nearest
    and the farthest true neighbour. Unlike the overlap this asks how near, and how far up, and a near miss is no miss.
    `queries` (q, d) and `corpus` (n, d) have unit rows for cosine; id -1 fills up.
    """
    every = np.concatenate([truth, *ranked.reshape(-1, *ranked.shape[-2:])], axis=1)
    best, near = np.split(_similarities_of(queries, corpus, every, metric), [truth.shape[1]], axis=1)
    near = near.reshape(len(near), -1, ranked.shape[-1])
    none = np.isneginf(best[:, 0])
    best[none], near[none] = 0, 0  # whoever has no neighbours misses none
    top = best[:, :1]
    last = np.where(np.isfinite(best), best, np.inf).min(axis=1, keepdims=True)
    grade = np.maximum(top - last, _LEAST_RANGE * np.maximum(np.abs(top), _LEAST_RANGE)) / _GRADES
    top, grade = top[:, :, None], grade[:, :, None]
    ideal, reached = (
        np.exp(np.minimum((part - top) / grade, 0)) @ (1 / np.log2(np.arange(part.shape[2]) + 2))
        for part in (best[:, None], near)
    )
    return np.asarray(np.minimum(reached / ideal, 1.0).T.reshape(ranked.shape[:-1]))


def _similarities_of(queries: Floats, corpus: Floats, ids: Ids, metric: Metric) -> Scores:
    """Of each row (q, d) to those that `ids` (q, k) name: float64 (q, k), -inf for -1. A pair that is named again, as
    by the rankings of two dims, is computed once."""
    order = np.argsort(ids, axis=1)
    named = np.take_along_axis(ids, order, 1)
    new = named >= 0
    new[:, 1:] &= named[:, 1:] != named[:, :-1]
    rows, columns = np.nonzero(new)
    scores = np.append(score_pairs(queries, corpus, rows, named[rows, columns], metric), -np.inf)
    # Where a pair stands again it has the number of the last new one, which is itself.
    number = np.where(named >= 0, np.cumsum(new).reshape(new.shape) - 1, -1)
    similarities = np.empty(ids.shape)
    np.put_along_axis(similarities, order, scores[number], 1)
    return similarities


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
    """Mean |full-dimension similarity - prefix similarity| of each row to all others: (n, d) and (n, m) → float64
    (n,)."""
    changes = np.abs(similarities(full, full, metric) - similarities(short, short, metric)).astype(np.float64)
    np.fill_diagonal(changes, 0)
    return np.asarray(changes.sum(axis=1) / max(1, len(full) - 1))


def topk_distance(truth: Floats, short: Floats) -> Scores:
    """Mean |full-dimension - prefix similarity| to the k nearest neighbours: two (q, k) of similarities → float64 (q,).

    Columns where a query has no k-th neighbour hold -inf in `truth` and are left out.
    """
    present = np.isfinite(truth)
    changes = np.where(present, np.abs(np.where(present, truth, 0) - np.where(present, short, 0)), 0).astype(np.float64)
    return np.asarray(changes.sum(axis=1) / np.maximum(present.sum(axis=1), 1))
