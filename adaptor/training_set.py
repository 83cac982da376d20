"""What training works on: the sample in the initial basis, its mined neighbours, and what is held out to validate
with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from adaptor.rows import Floats, Ids

#: Held-out rows and, at most, corpus rows that they search in an eval step, which must stay cheap.
MOST_HELD_OUT, MAX_VALIDATION_ROWS = 2_000, 20_000
VALIDATION_K, TRUTH_K = 10, 100
#: Rows, and those that each of them is compared with, that tell the spread of similarities; and the least of it.
_SPREAD_ROWS, _LEAST_SPREAD = (500, 5_000), 1e-6
#: Variance of noise in every coordinate, in variances of the mean one.
_NOISE_FLOOR = 4.0
#: Labelled queries that are held out at least, where half of them are that many.
_FEWEST_HELD_OUT = 50


@dataclass(frozen=True)
class Labels:
    """Graded judgments as parallel arrays: query number, document row and grade > 0 of each, sorted by query."""

    queries: Ids
    documents: Ids
    grades: Floats

    def of(self, chosen: Ids) -> Labels:
        """The judgments of some queries, renumbered by their place in `chosen`."""
        number = {int(q): i for i, q in enumerate(chosen)}
        rows = np.flatnonzero(np.isin(self.queries, chosen))
        renumbered = np.array([number[int(q)] for q in self.queries[rows]], np.int64)
        order = np.argsort(renumbered, kind="stable")
        return Labels(renumbered[order], self.documents[rows][order], self.grades[rows][order])


@dataclass(frozen=True, kw_only=True)
class Supervision:
    """Queries (q, d) with labels over the corpus rows, mined negatives (q, h), and held-out queries with labels."""

    queries: Floats
    labels: Labels
    negatives: Ids
    held_out: Floats
    held_out_labels: Labels


@dataclass(frozen=True, kw_only=True)
class QueryLog:
    """Queries without labels: the mined `neighbours` (q, k) of those that follow the training rows in the corpus, and
    `held_out` (h, d) ones with their true neighbours (h, 100) among the searched rows."""

    neighbours: Ids
    held_out: Floats
    truth: Ids


@dataclass(frozen=True, kw_only=True)
class TrainingSet:
    """All vectors in the initial basis, float32. The first `anchors` rows of `corpus` (n, d) are training rows, whose
    mined `neighbours` are (anchors, k) as row numbers of `corpus`. Judged documents of the supervised stage may follow,
    or the queries of a `log`. `held_out` (h, d) rows have `truth` (h, 100): their neighbours among the first `searched`
    rows. `other_start` (d, d) brings the initial basis to the one that was not chosen."""

    corpus: Floats
    anchors: int
    neighbours: Ids
    held_out: Floats
    truth: Ids
    searched: int
    supervision: Supervision | None = None
    log: QueryLog | None = None
    other_start: Floats | None = None

    def of_queries(self) -> TrainingSet:
        """The same, but what is held out are queries of the log, where there is one."""
        return self if self.log is None else replace(self, held_out=self.log.held_out, truth=self.log.truth)

    @cached_property
    def similarity_spread(self) -> float:
        """Standard deviation of the similarities (inner products) of a training row to others, mean over rows; to three
        digits, so that it is the same on any machine. 1 where all are equal."""
        rows = self.corpus[: min(self.anchors, _SPREAD_ROWS[1])].astype(np.float64)
        spread = float((rows[: _SPREAD_ROWS[0]] @ rows.T).std(axis=1).mean())
        return float(f"{spread:.3g}") if spread > _LEAST_SPREAD else 1.0

    @cached_property
    def noise_scale(self) -> Floats:
        """Standard deviation of a noise of strength 1 in each coordinate: float32 (d,). Its variance is that of the
        training rows, and a few times the mean coordinate's on top: what tells rows apart in the faintest coordinates
        is not to be learned by heart."""
        variance = self.corpus[: self.anchors].var(axis=0, dtype=np.float64)
        return np.asarray(np.sqrt(variance + _NOISE_FLOOR * variance.mean()), np.float32)


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
    in_common = np.isin(held_out.documents, training.documents)
    return len(np.setdiff1d(held_out.queries, held_out.queries[in_common]))


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
