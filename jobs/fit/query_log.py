"""Queries without labels, such as a sample of the query log: each once, and none that is a document of the sample."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from adaptor.errors import InputError
from adaptor.rows import Floats, unit_rows
from adaptor.settings import Metric
from adaptor.training_set import TrainingSet, with_log
from jobs.config.fit import FitConfig
from jobs.fit.neighbour_search import Search
from jobs.sources.queries import read_queries

#: Queries taken at most: a few hundred already help, and each is searched for exactly.
_MOST = 10_000
#: Squared distance, of a document's squared length, up to which a query is that document, in half precision perhaps.
_SAME = 1e-5


def read_query_log(config: FitConfig, input_dim: int) -> Floats | None:
    """The queries of the log that take part, as `chosen` says; None when the config names none, or judgments of them.

    Raises InputError when they do not fit the source.
    """
    if config.queries is None or config.qrels is not None:
        return None
    queries, metric = read_queries(config.queries, input_dim, repeated=True), config.source.metric
    with np.errstate(over="ignore"):
        squares = np.einsum("qd,qd->q", queries.vectors, queries.vectors)
    bad = ~np.isfinite(squares) | ((squares == 0) & (metric != "l2"))
    if bad.any():
        first = int(np.argmax(bad))
        raise InputError(
            f"queries {config.queries.uri}: the vector of query '{queries.ids[first]}' is too long or too short for "
            f"float32 (squared length {squares[first]}): remove it"
        )
    return chosen(queries.vectors, metric, config.training.seed)


def chosen(vectors: Floats, metric: Metric, seed: int) -> Floats:
    """The different ones of the queries (n, d), at most 10,000, drawn by the seed: float32 (q, d).

    Where their length changes no ranking (cosine, dot) it is made 1, as that of documents is on average in training:
    else the unit of the log would decide how sharp its lists of neighbours are.
    """
    vectors = np.ascontiguousarray(vectors if metric == "l2" else unit_rows(vectors), np.float32)
    vectors = vectors + np.float32(0)  # of -0 and 0, which are the same, that makes 0
    rows = vectors.view(np.dtype((np.void, vectors.shape[1] * 4))).ravel()
    different = np.sort(np.unique(rows, return_index=True)[1])
    if len(different) > _MOST:
        draw = np.random.default_rng([seed, 4])
        different = np.sort(draw.choice(different, _MOST, replace=False))
    return np.asarray(vectors[different])


def join_log(
    data: TrainingSet,
    log: Floats,
    documents: tuple[Floats, Floats],
    metric: Metric,
    search: Search,
    turn: Callable[[Floats], Floats],
) -> tuple[TrainingSet, int]:
    """The training set with those queries (q, d) of the log that are none of the `documents`, and how many those are.

    `documents` are the training rows and the held-out rows, which must stay unseen; `turn` puts queries in started
    coordinates. A query that is a document would learn to find itself.
    """
    known = np.zeros(len(log), bool)
    for rows in documents:
        known |= _are(log, rows, metric, search)
    if known.all():
        return data, 0
    near = search(log[~known], [documents[0]], data.neighbours.shape[1]).ids
    return with_log(data, turn(log[~known]), near), int((~known).sum())


def _are(queries: Floats, documents: Floats, metric: Metric, search: Search) -> NDArray[np.bool_]:
    """Whether each query (q, d) is one of the documents (n, d); but for its length, where that changes no ranking."""
    # By `dot` the nearest to a document may be a longer one.
    nearest = search(queries, [documents], 1, metric="l2" if metric == "l2" else "cosine").ids[:, 0]
    same = documents[nearest] if metric == "l2" else unit_rows(documents[nearest])
    return np.asarray(np.square(queries - same).sum(axis=1) <= _SAME * np.square(same).sum(axis=1))
