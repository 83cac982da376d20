"""How much of the original geometry each column keeps: scores that need no labels."""

from __future__ import annotations

import numpy as np

from adaptor.artefact import Adaptor
from adaptor.neighbours import Ids, Neighbours
from adaptor.quality import overlap_at_k, pairwise_distance, topk_distance
from adaptor.rows import Floats, unit_rows
from adaptor.settings import Metric
from jobs.search.methods import ORIGINAL, Column, shorten
from jobs.search.scoring import OVERLAPS, Scores
from jobs.search.source_search import NEAREST, Found, Search

#: Queries between which all pairs are compared at most: the cost is their square.
PAIRED_QUERIES = 2000

_PAIRS_AT_ONCE = 1024


def geometry_scores(search: Search, adaptor: Adaptor, found: Found) -> dict[Column, dict[str, Scores]]:
    """Overlap with the true neighbours and the two distances, per column and query.

    Each is float64 (q,), but `pairwise_distance` has at most PAIRED_QUERIES (evenly spaced) queries. Truth is what the
    original vectors find at full dimension.
    """
    truth = found.neighbours[Column(ORIGINAL, adaptor.input_dim)]
    metric = search.source.metric
    queries = dict(shorten(adaptor, search.queries, search.dims))
    paired = np.unique(np.linspace(0, len(search.queries) - 1, min(PAIRED_QUERIES, len(search.queries))).astype(int))
    nearest = truth.ids[:, :NEAREST]
    places = np.searchsorted(found.near_rows, np.maximum(nearest, found.near_rows[:1]))
    scores: dict[Column, dict[str, Scores]] = {}
    for column, near in shorten(adaptor, found.near_vectors, search.dims):
        short = queries[column]
        scores[column] = overlaps(truth, found.neighbours[column]) | {
            "pairwise_distance": pairwise_distance(search.queries[paired], short[paired], metric),
            "topk_distance": topk_distance(truth.similarities[:, :NEAREST], _pairs(short, near, places, metric)),
        }
    return scores


def overlaps(truth: Neighbours, found: Neighbours) -> dict[str, Scores]:
    """Every overlap of what was found with the true neighbours, float64 (q,) each."""
    return {name: overlap_at_k(truth.ids, found.ids, k) for name, k in OVERLAPS.items()}


def _pairs(queries: Floats, near: Floats, places: Ids, metric: Metric) -> Floats:
    """Similarity of each query (q, m) to the rows of `near` (u, m) at its places (q, k): float32 (q, k)."""
    if metric == "cosine":
        queries, near = unit_rows(queries), unit_rows(near)
    found = np.empty(places.shape, np.float32)
    for start in range(0, len(queries), _PAIRS_AT_ONCE):
        rows = slice(start, start + _PAIRS_AT_ONCE)
        left, right = queries[rows, None].astype(np.float64), near[places[rows]].astype(np.float64)
        found[rows] = -np.square(left - right).sum(axis=2) if metric == "l2" else (left * right).sum(axis=2)
    return found
