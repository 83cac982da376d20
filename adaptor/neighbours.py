"""Exact nearest neighbours on arrays: the one primitive behind mining, ground truth and evaluation.

A corpus may be cut into any parts: `top_k` searches one, `merge` joins the results; `improve` does both in one, for
parts that stream past. The answer does not depend on the cut (on a GPU but for a last bit: pairs.py). Candidates come
from products in float32, whose last bits change with the shape of the product; those that rounding leaves in doubt, and
those that are returned, are scored again in float64, pair by pair, and ordered by (similarity descending, id
ascending).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from adaptor.candidates import candidates, doubt
from adaptor.pairs import score_pairs
from adaptor.rows import Floats, Ids, unit_rows
from adaptor.settings import Metric

#: Candidates taken beyond k: room for near-ties that float32 puts in another order than float64.
_MARGIN = 16
#: Contested queries taken at once: each holds (k + 1)² ids.
_CHUNK = 256


@dataclass(frozen=True)
class Neighbours:
    """The nearest rows of each query: `ids` int64 (q, k) and `similarities` float32 (q, k), best first.

    Where a query has fewer than k neighbours the rest is id -1, similarity -inf.
    """

    ids: Ids
    similarities: Floats


@dataclass(frozen=True, kw_only=True)
class _Task:
    """What is wanted of every part: as `top_k`; a row whose similarity is at or below `floor` (q,) need not be
    there."""

    queries: Floats
    k: int
    metric: Metric
    exclude: Ids | None
    floor: Floats | None = None

    def of(self, rows: Ids) -> _Task:
        """The same of some of the queries."""
        exclude = None if self.exclude is None else self.exclude[rows]
        floor = None if self.floor is None else self.floor[rows]
        return replace(self, queries=self.queries[rows], exclude=exclude, floor=floor)


def top_k(queries: Floats, vectors: Floats, ids: Ids, k: int, metric: Metric, exclude: Ids | None = None) -> Neighbours:
    """Find the k most similar of `vectors` (n, d), named by distinct `ids` (n,), for each of `queries` (q, d).

    Similarity is the cosine, the inner product, or minus the squared distance (`l2`). A query never finds the row whose
    id stands at its place in `exclude` (q,). Runs on the GPU where torch sees one. Exact.
    """
    return _nearest(_Task(queries=queries, k=k, metric=metric, exclude=exclude), vectors, ids)


def merge(parts: Sequence[Neighbours], k: int) -> Neighbours:
    """Join the neighbours in parts of a corpus into the k best of the whole."""
    return _best(
        np.concatenate([p.ids for p in parts], axis=1), np.concatenate([p.similarities for p in parts], axis=1), k
    )


def improve(
    best: Neighbours, queries: Floats, vectors: Floats, ids: Ids, metric: Metric, exclude: Ids | None = None
) -> Neighbours:
    """The k best of the `best` so far and of one more part, as `merge([best, top_k(…)], k)`, but only rows that beat
    the k-th so far are looked at: the more has been seen, the cheaper a part becomes."""
    k = best.ids.shape[1]
    task = _Task(queries=queries, k=k, metric=metric, exclude=exclude, floor=best.similarities[:, -1])
    return merge([best, _nearest(task, vectors, ids)], k)


def _nearest(task: _Task, vectors: Floats, ids: Ids) -> Neighbours:
    if len(vectors) == 0 or len(task.queries) == 0:
        return _nothing(len(task.queries), task.k)
    if len(ids) > 1 and not (ids[:-1] < ids[1:]).all():
        order = np.argsort(ids, kind="stable")  # `_groups` wants the rows in the order of their ids
        vectors, ids = vectors[order], ids[order]
    vectors = np.ascontiguousarray(vectors)
    if task.metric == "cosine":
        task, vectors = replace(task, queries=unit_rows(task.queries)), unit_rows(vectors)
    nearest, unsure = _search(task, vectors, ids, task.k + _MARGIN)
    if unsure.any():
        rows = np.flatnonzero(unsure)
        _replace(nearest, rows, _search_through_ties(task.of(rows), vectors, ids))
    return nearest


def _search(task: _Task, vectors: Floats, ids: Ids, depth: int) -> tuple[Neighbours, NDArray[np.bool_]]:
    """Neighbours among the `depth` candidates of each query, and whether another row may tie with the last."""
    excluding = task.exclude is not None
    wanted = min(len(vectors), depth + excluding)
    off = doubt(task.queries, vectors, task.metric)
    # A row that ties with the floor may have the smaller id: below it, even where nothing is in doubt.
    floor = None if task.floor is None else np.nextafter(task.floor - 2 * off, np.float32(-np.inf))
    positions, scores = candidates(task.queries, vectors, wanted, task.metric, floor)
    # The k-th of the answer scores no less than the last of these, less the doubt; who cannot reach that is out.
    last = scores[:, min(wanted, task.k + excluding) - 1]
    contending = (positions >= 0) & (scores >= (last - 2 * off)[:, None])
    most = int(contending.sum(axis=1).max())
    similarities = _score(task, vectors, positions[:, :most], contending[:, :most])
    names = ids[positions[:, :most]]
    if task.exclude is not None:
        similarities[names == task.exclude[:, None]] = -np.inf
    nearest = _best(names, similarities, task.k)
    # Rows that are no candidates score no more than the last candidate, if there was no room for more.
    full = (positions[:, -1] >= 0) & (wanted < len(vectors))
    return nearest, full & (nearest.similarities[:, -1] <= scores[:, -1] + off)


def _search_through_ties(task: _Task, vectors: Floats, ids: Ids) -> Neighbours:
    """Neighbours of queries whose k-th place is contested by more rows than the margin holds.

    Equal rows are searched as one, which stands for its k + 1 smallest ids; what is still contested is searched deeper.
    """
    count, k = len(task.queries), task.k
    first, members = _groups(vectors, ids, k + 1)
    distinct, numbers = vectors[first], np.arange(len(first), dtype=np.int64)
    nearest = Neighbours(np.empty((count, k), np.int64), np.empty((count, k), np.float32))
    waiting = [(np.arange(start, min(start + _CHUNK, count)), k + 1) for start in range(0, count, _CHUNK)]
    while waiting:
        rows, depth = waiting.pop()
        part = task.of(rows)
        groups, unsure = _search(replace(part, k=k + 1, exclude=None), distinct, numbers, depth + _MARGIN)
        names = np.where(groups.ids[:, :, None] >= 0, members[groups.ids], -1).reshape(len(rows), -1)
        scores = np.where(names >= 0, np.repeat(groups.similarities, k + 1, axis=1), -np.inf).astype(np.float32)
        if part.exclude is not None:
            scores[names == part.exclude[:, None]] = -np.inf
        _replace(nearest, rows[~unsure], _best(names[~unsure], scores[~unsure], k))
        if unsure.any():
            waiting.append((rows[unsure], depth * 8))
    return nearest


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
    column = np.arange(len(order)) - np.searchsorted(group[order], np.arange(len(first)))[group[order]]
    members = np.full((len(first), most), -1, np.int64)
    smallest = column < most
    members[group[order][smallest], column[smallest]] = ids[order][smallest]
    return first, members


def _replace(neighbours: Neighbours, rows: Ids, better: Neighbours) -> None:
    neighbours.ids[rows], neighbours.similarities[rows] = better.ids, better.similarities


def _nothing(queries: int, k: int) -> Neighbours:
    return Neighbours(np.full((queries, k), -1, np.int64), np.full((queries, k), -np.inf, np.float32))


def _score(task: _Task, vectors: Floats, positions: Ids, wanted: NDArray[np.bool_]) -> Floats:
    """Similarity of each query to its candidates (q, c) where `wanted`, in float64, rounded to float32; else -inf."""
    rows, columns = np.nonzero(wanted)
    similarities = np.full(positions.shape, -np.inf, np.float32)
    similarities[rows, columns] = score_pairs(task.queries, vectors, rows, positions[rows, columns], task.metric)
    return similarities


def _best(ids: Ids, similarities: Floats, k: int) -> Neighbours:
    order = np.lexsort((ids, -similarities), axis=1)[:, :k]
    best = Neighbours(np.take_along_axis(ids, order, 1), np.take_along_axis(similarities, order, 1))
    best.ids[np.isneginf(best.similarities)] = -1
    if short := k - best.ids.shape[1]:
        gap = _nothing(len(ids), short)
        return Neighbours(np.hstack([best.ids, gap.ids]), np.hstack([best.similarities, gap.similarities]))
    return best
