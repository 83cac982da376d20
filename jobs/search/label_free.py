"""How much of the original geometry each column keeps: scores that need no labels."""

from __future__ import annotations

import numpy as np

from adaptor.pairs import score_neighbours
from adaptor.quality import overlap_at_k, pairwise_distance, topk_distance
from jobs.search.scoring import OVERLAPS, ColumnScores
from jobs.search.source_search import NEAREST, ColumnNeighbours, SearchResult, SearchSpec, true_neighbours

#: Queries between which all pairs are compared at most: the cost is their square.
PAIRED_QUERIES = 2000


def label_free_scores(spec: SearchSpec, result: SearchResult) -> ColumnScores:
    """Overlap with the true neighbours (those of the original vectors) and the two distances, per column: float64 (q,),
    but `pairwise_distance` of at most PAIRED_QUERIES (evenly spaced) queries."""
    metric, truth = spec.source.metric, true_neighbours(result.neighbours)
    queries = dict(spec.columns.queries(spec.queries))
    paired = np.unique(np.linspace(0, len(spec.queries) - 1, min(PAIRED_QUERIES, len(spec.queries))).astype(int))
    nearest = truth.ids[:, :NEAREST]
    positions = np.searchsorted(result.row_numbers, np.maximum(nearest, result.row_numbers[:1]))
    scores = overlap_scores(result.neighbours)
    for column, vectors in spec.columns.documents(result.vectors):
        short = queries[column]
        near = score_neighbours(short, vectors, positions, metric)
        scores[column]["pairwise_distance"] = pairwise_distance(spec.queries[paired], short[paired], metric)
        scores[column]["topk_distance"] = topk_distance(truth.similarities[:, :NEAREST], near)
    return scores


def overlap_scores(neighbours: ColumnNeighbours) -> ColumnScores:
    """Every overlap of each column with the true neighbours, float64 (q,) each."""
    truth = true_neighbours(neighbours).ids
    return {
        column: {name: overlap_at_k(truth, near.ids, k) for name, k in OVERLAPS.items()}
        for column, near in neighbours.items()
    }
