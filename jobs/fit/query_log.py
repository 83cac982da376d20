"""Queries without labels, such as a sample of the query log: each once, and none that is a document of the sample."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from adaptor.errors import InputError
from adaptor.pca import InitialBasis
from adaptor.rows import Floats, unit_rows
from adaptor.settings import Metric
from adaptor.training_set import TRUTH_K, Labels, QueryLog, TrainingSet, hold_out_queries
from jobs.config.fit import FitConfig
from jobs.fit.neighbour_search import NeighbourSearch
from jobs.sources.queries import Queries, read_queries

#: Queries taken at most: a few hundred already help, and each is searched for exactly.
_MOST = 10_000
#: Share of the queries that is held out.
_HELD_OUT_QUERIES = 0.1
#: Squared distance, of a document's squared length, up to which a query is that document, in half precision perhaps.
_SAME = 1e-5


def read_query_log(config: FitConfig, input_dim: int) -> Queries | None:
    """The queries of the log; None when the config names none, or judgments of them.

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
    return queries


def distinct(vectors: Floats, metric: Metric, seed: int) -> Floats:
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
    queries: Floats,
    rows: Floats,
    held_out: Floats,
    search: NeighbourSearch,
    basis: InitialBasis,
    seed: int,
) -> TrainingSet:
    """Add those queries (q, d) that are neither training `rows` nor held-out ones, with their neighbours among `rows`.

    A query that is a document would learn to find itself, and held-out rows must stay unseen. A tenth of the queries is
    held out, where possible such that no other one has the same nearest row: the same question in other words, or in
    another language, would tell nothing of new ones.
    """
    queries = queries[~(_are(queries, rows, search) | _are(queries, held_out, search))]
    if len(queries) < 2:
        return data
    # Their lengths are not those of documents: `distinct` has made of them what counts.
    own_basis = basis if basis.metric == "l2" else replace(basis, scale=1.0)
    near = search.search(queries, rows, data.neighbours.shape[1]).ids
    nearest = Labels(np.arange(len(queries)), near[:, 0], np.ones(len(queries), np.float32))
    training, held = hold_out_queries(nearest, _HELD_OUT_QUERIES, seed)
    log = QueryLog(
        neighbours=near[training],
        held_out=own_basis.transform(queries[held]),
        truth=search.search(queries[held], rows[: data.searched], TRUTH_K).ids,
    )
    return replace(data, corpus=np.concatenate([data.corpus, own_basis.transform(queries[training])]), log=log)


def _are(queries: Floats, documents: Floats, search: NeighbourSearch) -> NDArray[np.bool_]:
    """Whether each query (q, d) is one of the documents (n, d); but for its length, where that changes no ranking."""
    # By `dot` the nearest to a document may be a longer one.
    metric: Metric = "l2" if search.metric == "l2" else "cosine"
    nearest = documents[search.search(queries, documents, 1, metric=metric).ids[:, 0]]
    same = nearest if metric == "l2" else unit_rows(nearest)
    return np.asarray(np.square(queries - same).sum(axis=1) <= _SAME * np.square(same).sum(axis=1))
