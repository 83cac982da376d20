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
from adaptor.rows import Floats, unit_rows
from adaptor.settings import Metric

Ids = NDArray[np.int64]

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


@dataclass(frozen=True)
class _Question:
    """What is asked of every part: as `top_k`; a row whose similarity is at or below `floor` (q,) need not be found."""

    queries: Floats
    k: int
    metric: Metric
    exclude: Ids | None
    floor: Floats | None = None

    def of(self, rows: Ids) -> _Question:
        """The same of some of the queries."""
        exclude = None if self.exclude is None else self.exclude[rows]
        floor = None if self.floor is None else self.floor[rows]
        return replace(self, queries=self.queries[rows], exclude=exclude, floor=floor)


def top_k(queries: Floats, vectors: Floats, ids: Ids, k: int, metric: Metric, exclude: Ids | None = None) -> Neighbours:
    """Find the k most similar of `vectors` (n, d), named by distinct `ids` (n,), for each of `queries` (q, d).

    Similarity is the cosine, the inner product, or minus the squared distance (`l2`). A query never finds the row whose
    id stands at its place in `exclude` (q,). Runs on the GPU where torch sees one. Exact.
    """
    return _find(_Question(queries, k, metric, exclude), vectors, ids)


def merge(parts: Sequence[Neighbours], k: int) -> Neighbours:
    """Join the neighbours found in parts of a corpus into the k best of the whole."""
    return _best(
        np.concatenate([p.ids for p in parts], axis=1), np.concatenate([p.similarities for p in parts], axis=1), k
    )


def improve(
    found: Neighbours, queries: Floats, vectors: Floats, ids: Ids, metric: Metric, exclude: Ids | None = None
) -> Neighbours:
    """The k best of `found` and of one more part, as `merge([found, top_k(…)], k)`, but only rows that beat the k-th
    found so far are looked at: the more has been seen, the cheaper a part becomes."""
    k = found.ids.shape[1]
    return merge([found, _find(_Question(queries, k, metric, exclude, found.similarities[:, -1]), vectors, ids)], k)


def _find(asked: _Question, vectors: Floats, ids: Ids) -> Neighbours:
    if len(vectors) == 0 or len(asked.queries) == 0:
        return _nothing(len(asked.queries), asked.k)
    if len(ids) > 1 and not (ids[:-1] < ids[1:]).all():
        order = np.argsort(ids, kind="stable")  # `_groups` wants the rows in the order of their ids
        vectors, ids = vectors[order], ids[order]
    vectors = np.ascontiguousarray(vectors)
    if asked.metric == "cosine":
        asked, vectors = replace(asked, queries=unit_rows(asked.queries)), unit_rows(vectors)
    found, unsure = _search(asked, vectors, ids, asked.k + _MARGIN)
    if unsure.any():
        rows = np.flatnonzero(unsure)
        _replace(found, rows, _search_through_ties(asked.of(rows), vectors, ids))
    return found


def _search(asked: _Question, vectors: Floats, ids: Ids, depth: int) -> tuple[Neighbours, NDArray[np.bool_]]:
    """Neighbours among the `depth` candidates of each query, and whether another row may tie with the last."""
    excluding = asked.exclude is not None
    wanted = min(len(vectors), depth + excluding)
    off = doubt(asked.queries, vectors, asked.metric)
    # A row that ties with the floor may have the smaller id: below it, even where nothing is in doubt.
    floor = None if asked.floor is None else np.nextafter(asked.floor - 2 * off, np.float32(-np.inf))
    positions, scores = candidates(asked.queries, vectors, wanted, asked.metric, floor)
    # The k-th of the answer scores no less than the last of these, less the doubt; who cannot reach that is out.
    last = scores[:, min(wanted, asked.k + excluding) - 1]
    contending = (positions >= 0) & (scores >= (last - 2 * off)[:, None])
    dim = int(contending.sum(axis=1).max())
    similarities = _score(asked, vectors, positions[:, :dim], contending[:, :dim])
    named = ids[positions[:, :dim]]
    if asked.exclude is not None:
        similarities[named == asked.exclude[:, None]] = -np.inf
    found = _best(named, similarities, asked.k)
    # Rows that are no candidates score no more than the last candidate, if there was no room for more.
    full = (positions[:, -1] >= 0) & (wanted < len(vectors))
    return found, full & (found.similarities[:, -1] <= scores[:, -1] + off)


def _search_through_ties(asked: _Question, vectors: Floats, ids: Ids) -> Neighbours:
    """Neighbours of queries whose k-th place is contested by more rows than the margin holds.

    Equal rows are searched as one, which stands for its k + 1 smallest ids; what is still contested is searched deeper.
    """
    count, k = len(asked.queries), asked.k
    first, members = _groups(vectors, ids, k + 1)
    distinct, numbers = vectors[first], np.arange(len(first), dtype=np.int64)
    found = Neighbours(np.empty((count, k), np.int64), np.empty((count, k), np.float32))
    waiting = [(np.arange(start, min(start + _CHUNK, count)), k + 1) for start in range(0, count, _CHUNK)]
    while waiting:
        rows, depth = waiting.pop()
        part = asked.of(rows)
        groups, unsure = _search(replace(part, k=k + 1, exclude=None), distinct, numbers, depth + _MARGIN)
        named = np.where(groups.ids[:, :, None] >= 0, members[groups.ids], -1).reshape(len(rows), -1)
        scores = np.where(named >= 0, np.repeat(groups.similarities, k + 1, axis=1), -np.inf).astype(np.float32)
        if part.exclude is not None:
            scores[named == part.exclude[:, None]] = -np.inf
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


def _nothing(queries: int, k: int) -> Neighbours:
    return Neighbours(np.full((queries, k), -1, np.int64), np.full((queries, k), -np.inf, np.float32))


def _score(asked: _Question, vectors: Floats, positions: Ids, wanted: NDArray[np.bool_]) -> Floats:
    """Similarity of each query to its candidates (q, c) where `wanted`, in float64, rounded to float32; else -inf."""
    rows, columns = np.nonzero(wanted)
    similarities = np.full(positions.shape, -np.inf, np.float32)
    similarities[rows, columns] = score_pairs(asked.queries, vectors, rows, positions[rows, columns], asked.metric)
    return similarities


def _best(ids: Ids, similarities: Floats, k: int) -> Neighbours:
    order = np.lexsort((ids, -similarities), axis=1)[:, :k]
    best = Neighbours(np.take_along_axis(ids, order, 1), np.take_along_axis(similarities, order, 1))
    best.ids[np.isneginf(best.similarities)] = -1
    if short := k - best.ids.shape[1]:
        gap = _nothing(len(ids), short)
        return Neighbours(np.hstack([best.ids, gap.ids]), np.hstack([best.similarities, gap.similarities]))
    return best
