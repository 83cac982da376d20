"""Exact nearest neighbours on arrays: the one primitive behind mining, ground truth and evaluation.

A corpus may be cut into any parts: `top_k` searches one, `merge` joins the results. The answer does not depend on the
cut. faiss finds candidates in float32, whose last bits change with the shape of the product; the few candidates kept
are scored again in float64, pair by pair, and ordered by (similarity descending, id ascending).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from adaptor.artefact import Floats, unit_rows
from adaptor.settings import Metric

Ids = NDArray[np.int64]

#: Candidates taken from faiss beyond k: room for near-ties that float32 puts in another order than float64.
_MARGIN = 16
#: How far float32 and float64 may disagree on a similarity of unit vectors, generously.
_FLOAT32_DOUBT = 1e-5
#: Contested queries taken at once: each holds (k + 1)² ids.
_CHUNK = 256
#: Numbers gathered at once when candidates are scored again (float64: 8 bytes each).
_GATHER = 4_000_000


@dataclass(frozen=True)
class Neighbours:
    """The nearest rows of each query: `ids` int64 (q, k) and `similarities` float32 (q, k), best first.

    Where a query has fewer than k neighbours the rest is id -1, similarity -inf.
    """

    ids: Ids
    similarities: Floats


def top_k(queries: Floats, vectors: Floats, ids: Ids, k: int, metric: Metric, exclude: Ids | None = None) -> Neighbours:
    """Find the k most similar of `vectors` (n, d), named by distinct `ids` (n,), for each of `queries` (q, d).

    Similarity is the cosine, the inner product, or minus the squared distance (`l2`). A query never finds the row whose
    id stands at its place in `exclude` (q,). Runs on the GPU where faiss has one. Exact.
    """
    if len(vectors) == 0 or len(queries) == 0:
        return _nothing(len(queries), k)
    if len(ids) > 1 and not (ids[:-1] < ids[1:]).all():
        # faiss keeps the first of equal scores: with rows in id order, that is the smallest id.
        order = np.argsort(ids, kind="stable")
        vectors, ids = vectors[order], ids[order]
    if metric == "cosine":
        queries, vectors = unit_rows(queries), unit_rows(vectors)
    found, unsure = _search(queries, vectors, ids, (k, metric, exclude), k + _MARGIN)
    if unsure.any():
        rows = np.flatnonzero(unsure)
        own = None if exclude is None else exclude[rows]
        _replace(found, rows, _search_through_ties(queries[rows], vectors, ids, (k, metric, own)))
    return found


def merge(parts: Sequence[Neighbours], k: int) -> Neighbours:
    """Join the neighbours found in parts of a corpus into the k best of the whole."""
    return _best(
        np.concatenate([p.ids for p in parts], axis=1), np.concatenate([p.similarities for p in parts], axis=1), k
    )


def _search(
    queries: Floats, vectors: Floats, ids: Ids, asked: tuple[int, Metric, Ids | None], depth: int
) -> tuple[Neighbours, NDArray[np.bool_]]:
    """Neighbours among the `depth` candidates of each query, and whether another row may tie with the last."""
    k, metric, exclude = asked
    wanted = min(len(vectors), depth + (exclude is not None))
    positions, worst = _candidates(np.ascontiguousarray(queries), np.ascontiguousarray(vectors), wanted, metric)
    similarities = _score(queries, vectors, positions, metric)
    named = ids[positions]
    if exclude is not None:
        similarities[named == exclude[:, None]] = -np.inf
    found = _best(named, similarities, k)
    if wanted == len(vectors):
        return found, np.zeros(len(queries), bool)
    # Rounding grows with the lengths that go into the sums; for unit rows that is 1.
    scale = 1.0 if metric == "cosine" else max(_longest(queries), _longest(vectors)) ** 2
    return found, found.similarities[:, -1] <= worst + _FLOAT32_DOUBT * scale


def _search_through_ties(
    queries: Floats, vectors: Floats, ids: Ids, asked: tuple[int, Metric, Ids | None]
) -> Neighbours:
    """Neighbours of queries whose k-th place is contested by more rows than the margin holds.

    Equal rows are searched as one, which stands for its k + 1 smallest ids; what is still contested is searched deeper.
    """
    k, metric, exclude = asked
    first, members = _groups(vectors, ids, k + 1)
    distinct, numbers = vectors[first], np.arange(len(first), dtype=np.int64)
    found = Neighbours(np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32))
    waiting = [(np.arange(start, min(start + _CHUNK, len(queries))), k + 1) for start in range(0, len(queries), _CHUNK)]
    while waiting:
        rows, depth = waiting.pop()
        groups, unsure = _search(queries[rows], distinct, numbers, (k + 1, metric, None), depth + _MARGIN)
        named = np.where(groups.ids[:, :, None] >= 0, members[groups.ids], -1).reshape(len(rows), -1)
        scores = np.where(named >= 0, np.repeat(groups.similarities, k + 1, axis=1), -np.inf).astype(np.float32)
        if exclude is not None:
            scores[named == exclude[rows][:, None]] = -np.inf
        _replace(found, rows[~unsure], _best(named[~unsure], scores[~unsure], k))
        if unsure.any():
            waiting.append((rows[unsure], depth * 8))
    return found


def _groups(vectors: Floats, ids: Ids, most: int) -> tuple[Ids, Ids]:
    """Groups of equal rows: the first row (g,) of each and its `most` smallest ids (g, most), then -1.

    Groups come in the order of their smallest id: a tie between groups falls as the tie between their ids would.
    """
    rows = vectors.view(np.dtype((np.void, vectors.shape[1] * 4))).ravel()
    _, first, group = np.unique(rows, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    group, first = rank[group], np.sort(first)
    order = np.argsort(group, kind="stable")  # rows are in id order, so each group's ids come out ascending
    place = np.arange(len(order)) - np.searchsorted(group[order], np.arange(len(first)))[group[order]]
    members = np.full((len(first), most), -1, np.int64)
    kept = place < most
    members[group[order][kept], place[kept]] = ids[order][kept]
    return first, members


def _replace(found: Neighbours, rows: Ids, better: Neighbours) -> None:
    found.ids[rows], found.similarities[rows] = better.ids, better.similarities


def _longest(vectors: Floats) -> float:
    return float(np.sqrt(np.einsum("nd,nd->n", vectors, vectors).max()))


def _nothing(queries: int, k: int) -> Neighbours:
    return Neighbours(np.full((queries, k), -1, np.int64), np.full((queries, k), -np.inf, np.float32))


def _candidates(queries: Floats, vectors: Floats, k: int, metric: Metric) -> tuple[Ids, Floats]:
    """Positions (q, k) that faiss puts first, and the similarity (q,) that it gave the last of them."""
    measure = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
    if hasattr(faiss, "get_num_gpus") and faiss.get_num_gpus() > 0 and k <= 2048:
        scores, positions = faiss.knn_gpu(_gpu_resources(), queries, vectors, k, metric=measure)
    else:
        scores, positions = faiss.knn(queries, vectors, k, metric=measure)
    return np.asarray(positions, np.int64), -scores[:, -1] if metric == "l2" else scores[:, -1]


def _gpu_resources() -> Any:
    global _RESOURCES
    if _RESOURCES is None:  # allocating the scratch memory costs more than a search
        _RESOURCES = faiss.StandardGpuResources()
    return _RESOURCES


_RESOURCES: Any = None


def _score(queries: Floats, vectors: Floats, positions: Ids, metric: Metric) -> Floats:
    """Similarity of each query (q, d) to its candidates (q, c), in float64, rounded to float32."""
    similarities = np.empty(positions.shape, np.float32)
    step = max(1, _GATHER // (positions.shape[1] * queries.shape[1]))
    for start in range(0, len(queries), step):
        rows = slice(start, start + step)
        left = queries[rows].astype(np.float64)[:, None, :]
        right = vectors[positions[rows]].astype(np.float64)
        if metric == "l2":
            similarities[rows] = -np.square(left - right).sum(axis=2)
        else:
            similarities[rows] = (left * right).sum(axis=2)
    return similarities


def _best(ids: Ids, similarities: Floats, k: int) -> Neighbours:
    order = np.lexsort((ids, -similarities), axis=1)[:, :k]
    best = Neighbours(np.take_along_axis(ids, order, 1), np.take_along_axis(similarities, order, 1))
    best.ids[np.isneginf(best.similarities)] = -1
    if short := k - best.ids.shape[1]:
        gap = _nothing(len(ids), short)
        return Neighbours(np.hstack([best.ids, gap.ids]), np.hstack([best.similarities, gap.similarities]))
    return best
