"""Scores of one contestant on one set, per test query: retrieval by the product's scoring, and the geometry kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from adaptor.neighbours import top_k
from adaptor.quality import Scores, overlap_at_k, pairwise_distance, topk_distance
from adaptor.rows import Floats, unit_rows
from adaptor.settings import Metric
from jobs.search.label_free import PAIRED_QUERIES
from jobs.search.scoring import DEPTH, OVERLAPS, retrieval_scores
from jobs.search.source_search import NEAREST
from tests.benchmarks.contest.maps import Maps, Sides
from tests.benchmarks.contest.product import METRIC
from tests.benchmarks.contest.sets import SearchSet

#: metric → float64 (q,), one number per query (`pairwise_distance`: of at most PAIRED_QUERIES queries).
QueryScores = dict[str, Scores]


def score(there: SearchSet, maps: Maps, dims: Sequence[int]) -> dict[int, QueryScores]:
    """Scores at each dim, which the narrowest map that reaches it serves."""
    scores: dict[int, QueryScores] = {}
    for dim in dims:
        served = maps[min(served for served in maps if served >= dim)]
        sides = served if isinstance(served, Sides) else Sides(served, served)
        queries = sides.queries.transform(there.test.vectors, dim=dim)
        documents = sides.documents.transform(there.vectors, dim=dim)
        scores[dim] = score_vectors(there, queries, documents, sides.documents.metric)
    return scores


def score_vectors(there: SearchSet, queries: Floats, corpus: Floats, metric: Metric = METRIC) -> QueryScores:
    """Scores of short queries (q, m) that search a short corpus (n, m)."""
    test = there.test
    if metric == "cosine":
        queries, corpus = unit_rows(queries), unit_rows(corpus)
    found = top_k(queries, corpus, there.rows, DEPTH, metric)
    near = np.einsum("qm,qkm->qk", queries, corpus[test.truth.ids[:, :NEAREST]])
    paired = np.unique(np.linspace(0, len(queries) - 1, min(PAIRED_QUERIES, len(queries))).astype(int))
    return {
        **retrieval_scores(found.ids, test.judged),
        **{name: overlap_at_k(test.truth.ids, found.ids, k) for name, k in OVERLAPS.items()},
        "pairwise_distance": pairwise_distance(test.vectors[paired], queries[paired], METRIC),
        "topk_distance": topk_distance(test.truth.similarities[:, :NEAREST], near),
    }
