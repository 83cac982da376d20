"""What training works on: the sample in started coordinates, its mined neighbours, and what is held out to validate
with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from adaptor.neighbours import Ids
from adaptor.rows import Floats, unit_rows
from adaptor.settings import Metric

#: Held-out rows and, at most, corpus rows that they search when training looks at them: a look must stay cheap.
MOST_HELD_OUT, MAX_VALIDATION_ROWS = 2_000, 20_000
VALIDATION_K = 10
#: Labelled queries that are held out at least, where half of them are that many.
_FEWEST_HELD_OUT = 50
#: Of the largest coordinate: one that is nearly nothing is not lifted without end.
_LEAST_SIZE = 0.01
_TINY = 1e-30


@dataclass(frozen=True)
class Labels:
    """Graded judgments as parallel arrays: query number, document row and grade > 0 of each, sorted by query."""

    queries: Ids
    documents: Ids
    grades: Floats

    def of(self, chosen: Ids) -> Labels:
        """The judgments of some queries, renumbered by their place in `chosen`."""
        place = {int(q): i for i, q in enumerate(chosen)}
        kept = np.flatnonzero(np.isin(self.queries, chosen))
        renumbered = np.array([place[int(q)] for q in self.queries[kept]], np.int64)
        order = np.argsort(renumbered, kind="stable")
        return Labels(renumbered[order], self.documents[kept][order], self.grades[kept][order])


@dataclass(frozen=True)
class Supervision:
    """Started queries (q, d) with labels over the corpus rows, mined negatives (q, h), and held-out queries with
    theirs."""

    queries: Floats
    labels: Labels
    negatives: Ids
    held_out: Floats
    held_out_labels: Labels


@dataclass(frozen=True)
class QueryLog:
    """Queries that nobody labelled: the rows of a training set's corpus from `first` on, and their `neighbours` (q, k)
    among its training rows."""

    first: int
    neighbours: Ids


@dataclass(frozen=True)
class TrainingSet:
    """Started rows, float32. The first `anchors` rows of `corpus` (n, d) are the sampled training rows, with
    `neighbours` (anchors, k) as row numbers of `corpus`; judged documents of the supervised stage, or queries without
    labels, may follow. `held_out` (h, d) rows have `truth` (h, 10): their neighbours among the first `searched`
    rows."""

    corpus: Floats
    anchors: int
    neighbours: Ids
    held_out: Floats
    truth: Ids
    searched: int
    supervision: Supervision | None = None
    log: QueryLog | None = None

    @cached_property
    def spread(self) -> Floats:
        """Standard deviation of each coordinate over the training rows: float32 (d,)."""
        return np.asarray(self.corpus[: self.anchors].std(axis=0, dtype=np.float64), np.float32)

    def tilt(self, power: float) -> Floats:
        """One over each coordinate's root mean square to this power, scaled so that rows stay as long as they are on
        average: float32 (d,)."""
        size = np.sqrt(self._squares)
        tilted = np.maximum(size, size.max() * _LEAST_SIZE) ** -power if size.any() else np.ones(len(size))
        return np.asarray(
            tilted * np.sqrt(self._squares.sum() / max(self._squares @ np.square(tilted), _TINY)), np.float32
        )

    @cached_property
    def _squares(self) -> Floats:
        """Mean square of each coordinate over the training rows: float64 (d,)."""
        rows = self.corpus[: self.anchors]
        squares: Floats = np.einsum("nd,nd->d", rows, rows, dtype=np.float64) / len(rows)
        return squares


def started(vectors: Floats, start: Floats, scale: float, metric: Metric) -> Floats:
    """Vectors in the coordinates that training uses: unit rows (cosine) or rows over `scale`, times the start (d,
    d)."""
    rows: Floats = unit_rows(vectors) if metric == "cosine" else np.divide(vectors, scale, dtype=np.float32)
    turned: Floats = rows @ start
    return turned


def with_log(data: TrainingSet, queries: Floats, neighbours: Ids) -> TrainingSet:
    """The same with started queries (q, d) that have no labels, and their `neighbours` (q, k) among the training rows,
    as many as those have."""
    return replace(data, corpus=np.concatenate([data.corpus, queries]), log=QueryLog(len(data.corpus), neighbours))


def hold_out(rows: int, share: float, seed: int) -> tuple[Ids, Ids]:
    """Split row numbers 0..rows-1 into (training, held out), in a random order that only the arguments decide.

    Any first part of either is a uniform sample of it.
    """
    count = min(MOST_HELD_OUT, max(1, round(rows * share)))
    order = np.random.default_rng([seed, 1]).permutation(rows)
    return order[count:], order[:count]


def hold_out_queries(labels: Labels, share: float, seed: int) -> tuple[Ids, Ids]:
    """Split query numbers 0..q-1 into (training, held out), so that training never sees what held-out queries look for.

    Queries that share a relevant document, directly or over others, stay together: small groups of them are held out,
    in random order. Where one group is nearly everything, single queries of it fill up; `fresh` counts what is left.
    """
    draw = np.random.default_rng([seed, 1])
    group = _groups(labels)
    rows = len(group)
    wanted = min(MOST_HELD_OUT, max(round(rows * share), min(_FEWEST_HELD_OUT, rows // 2)))
    size = np.bincount(group, minlength=rows)
    order = draw.permutation(rows)
    order = order[np.argsort(draw.permutation(rows)[group[order]], kind="stable")]  # groups in random order
    small = order[size[group[order]] <= max(1, wanted // 4)]
    last = np.append(group[small][1:] != group[small][:-1], True)  # only whole groups
    complete = np.flatnonzero(last[:wanted])
    held = small[: complete[-1] + 1] if len(complete) else small[:0]
    others = draw.permutation(np.setdiff1d(order, held))
    missing = wanted - len(held)
    return others[missing:], np.concatenate([held, others[:missing]])


def fresh(held_out: Labels, training: Labels) -> int:
    """How many held-out queries have no relevant document in common with the training queries."""
    known = np.isin(held_out.documents, training.documents)
    return len(np.setdiff1d(held_out.queries, held_out.queries[known]))


def _groups(labels: Labels) -> Ids:
    """Number of the group of each query (q,): its smallest query."""
    group = np.arange(int(labels.queries.max()) + 1)
    while True:
        smallest = np.full(int(labels.documents.max()) + 1, len(group))
        np.minimum.at(smallest, labels.documents, group[labels.queries])
        joined = group.copy()
        np.minimum.at(joined, labels.queries, smallest[labels.documents])
        if (joined == group).all():
            return group
        group = joined
