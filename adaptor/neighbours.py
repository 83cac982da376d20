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
    wanted = min(len(vectors), k + _MARGIN + (exclude is not None))
    positions = _candidates(np.ascontiguousarray(queries), np.ascontiguousarray(vectors), wanted, metric)
    similarities = _score(queries, vectors, positions, metric)
    found = ids[positions]
    if exclude is not None:
        similarities[found == exclude[:, None]] = -np.inf
    return _best(found, similarities, k)


def merge(parts: Sequence[Neighbours], k: int) -> Neighbours:
    """Join the neighbours found in parts of a corpus into the k best of the whole."""
    return _best(
        np.concatenate([p.ids for p in parts], axis=1), np.concatenate([p.similarities for p in parts], axis=1), k
    )


def _nothing(queries: int, k: int) -> Neighbours:
    return Neighbours(np.full((queries, k), -1, np.int64), np.full((queries, k), -np.inf, np.float32))


def _candidates(queries: Floats, vectors: Floats, k: int, metric: Metric) -> Ids:
    measure = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
    if hasattr(faiss, "get_num_gpus") and faiss.get_num_gpus() > 0 and k <= 2048:
        _, positions = faiss.knn_gpu(_gpu_resources(), queries, vectors, k, metric=measure)
    else:
        _, positions = faiss.knn(queries, vectors, k, metric=measure)
    return np.asarray(positions, np.int64)


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
