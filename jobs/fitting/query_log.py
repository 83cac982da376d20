"""Queries without labels, such as a sample of the query log: each once, and none that is a document of the sample."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from adaptor.neighbours import Ids
from adaptor.rows import Floats, unit_rows
from adaptor.settings import Metric
from adaptor.training_set import TrainingSet, with_log
from jobs.config.commands import FitConfig
from jobs.fitting.search import Search
from jobs.store.tables import read_queries

#: Queries taken at most: a few hundred do most of the good, and each is searched for exactly.
_MOST = 10_000
#: Squared distance, of a document's squared length, up to which a query is that document, in half precision perhaps.
_SAME = 1e-6


def read_query_log(config: FitConfig, dim: int) -> Floats | None:
    """The queries of the log that take part, as `chosen` says; None when the config names none, or judgments of them.

    Raises InputError when they do not fit the store.
    """
    if config.queries is None or config.qrels is not None:
        return None
    vectors = read_queries(config.queries, dim, repeated=True).vectors
    return chosen(vectors, config.store.metric, config.training.seed)


def chosen(vectors: Floats, metric: Metric, seed: int) -> Floats:
    """The different ones of the queries (n, d), at most 10,000, drawn by the seed: float32 (q, d).

    Where their length changes no ranking (cosine, dot) it is made 1, as that of documents is on average in training:
    else the unit of the log would decide how sharp its lists of neighbours are.
    """
    if metric != "l2":
        vectors = unit_rows(vectors)
    rows = np.ascontiguousarray(vectors).view(np.dtype((np.void, vectors.shape[1] * 4))).ravel()
    different = np.sort(np.unique(rows, return_index=True)[1])
    if len(different) > _MOST:
        draw = np.random.default_rng([seed, 4])
        different = np.sort(draw.choice(different, _MOST, replace=False))
    return np.asarray(vectors[different])


def join_log(
    data: TrainingSet,
    log: Floats,
    documents: tuple[Floats, Floats],
    search: Search,
    turn: Callable[[Floats], Floats],
) -> tuple[TrainingSet, int]:
    """The training set with those queries (q, d) of the log that are none of the `documents`, and how many those are.

    `documents` are the training rows and the held-out rows, which must stay unseen; `turn` puts queries in started
    coordinates. A query that is a document would learn to find itself.
    """
    rows, held_out = documents
    near = search(log, [rows], data.neighbours.shape[1]).ids
    known = _are(log, rows, near) | _are(log, held_out, search(log, [held_out], 1).ids)
    if known.all():
        return data, 0
    return with_log(data, turn(log[~known]), near[~known]), int((~known).sum())


def _are(queries: Floats, documents: Floats, near: Ids) -> NDArray[np.bool_]:
    """Whether each query (q, d) is one of the documents that `near` (q, k) names, whatever the length of either."""
    same, asked = np.zeros(len(queries), bool), unit_rows(queries)
    for named in near.T:
        gaps = np.square(asked - unit_rows(documents[named])).sum(axis=1)
        same |= (gaps <= _SAME) & (named >= 0)
    return same
