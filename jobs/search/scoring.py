"""From ranked lists to records: retrieval measures, geometry kept, and how sure the means are.

Retrieval measures come from pytrec_eval (the code behind trec_eval), never from formulas of our own. Every mean stands
with a 95% percentile interval over resampled queries; series of one length share their resamples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pytrec_eval
from numpy.typing import NDArray

from adaptor.neighbours import Ids
from jobs.search.methods import Column

Scores = NDArray[np.float64]
#: Position of the query → row of the document (negative: not in the source) → grade.
Judgments = Mapping[int, Mapping[int, int]]

#: Our name of a measure → trec_eval's name of it, and the depth to which the list is cut for it.
RETRIEVAL = {
    "ndcg@10": ("ndcg_cut_10", 100),
    "recall@10": ("recall_10", 100),
    "recall@100": ("recall_100", 100),
    "mrr@10": ("recip_rank", 10),
}
OVERLAPS = {"overlap@1": 1, "overlap@10": 10, "overlap@100": 100}
DISTANCES = ("pairwise_distance", "topk_distance")
#: Every measure in the order in which it is shown.
METRICS = (*RETRIEVAL, *OVERLAPS, *DISTANCES)
#: Length of the ranked lists that the measures need.
DEPTH = 100

_RESAMPLES_AT_ONCE = 64


@dataclass(frozen=True)
class Record:
    """One number of metrics.json: the mean over `n` queries and its 95% interval."""

    set: str
    method: str
    dim: int
    metric: str
    value: float
    ci_low: float
    ci_high: float
    n: int

    def as_json(self) -> dict[str, Any]:
        """The record as metrics.json spells it."""
        return asdict(self)


@dataclass(frozen=True)
class Comparison:
    """Mean paired difference of two methods at one dim, and its 95% interval: beyond chance where that excludes 0."""

    metric: str
    dim: int
    method: str
    against: str
    difference: float
    ci_low: float
    ci_high: float


def retrieval_scores(found: Ids, judgments: Judgments) -> dict[str, Scores]:
    """Score ranked rows, int64 (q, k), best first, -1 where there are no more, against the judgments.

    Returns each measure of RETRIEVAL as float64 (j,) over the j judged queries in the order of `judgments`. The order
    of the list is what counts: scores are made from ranks, so no measure breaks ties by its own rule. A row that stands
    twice keeps its better rank; a relevant document that is not found counts as missed, as in trec_eval.
    """
    judged = {str(query): {str(row): grade for row, grade in rows.items()} for query, rows in judgments.items()}
    ranked = {str(query): [str(row) for row in dict.fromkeys(found[query].tolist()) if row >= 0] for query in judgments}
    scores: dict[str, Scores] = {}
    for depth in sorted({depth for _, depth in RETRIEVAL.values()}):
        wanted = {name: trec for name, (trec, at) in RETRIEVAL.items() if at == depth}
        run = {query: {row: float(depth - i) for i, row in enumerate(rows[:depth])} for query, rows in ranked.items()}
        results = pytrec_eval.RelevanceEvaluator(judged, set(wanted.values())).evaluate(run)
        for name, trec in wanted.items():
            # trec_eval says nothing about a query for which nothing was found: it scores 0.
            scores[name] = np.array([results.get(query, {}).get(trec, 0.0) for query in judged], np.float64)
    return scores


def bootstrap_means(series: Scores, resamples: int, seed: int) -> Scores:
    """Means of resampled queries, float64 (s, n) → (s, resamples): the same draws for every series; n is above 0."""
    count = series.shape[1]
    draws = np.random.default_rng([seed, count])
    means = np.empty((len(series), resamples))
    for start in range(0, resamples, _RESAMPLES_AT_ONCE):
        rows = min(_RESAMPLES_AT_ONCE, resamples - start)
        picks = draws.integers(count, size=(rows, count)) + count * np.arange(rows)[:, None]
        times = np.bincount(picks.ravel(), minlength=rows * count).reshape(rows, count).astype(np.float64)
        means[:, start : start + rows] = series @ times.T / count
    return means


def _intervals(series: Scores, resamples: int, seed: int) -> Iterator[tuple[float, float, float]]:
    low, high = np.percentile(bootstrap_means(series, resamples, seed), [2.5, 97.5], axis=1)
    for value, below, above in zip(series.mean(axis=1), low, high, strict=True):
        # Rounded so that the last bits of a sum, which differ between processors, do not reach the files.
        yield round(float(value), 6), round(float(below), 6), round(float(above), 6)


def make_records(name: str, scores: Mapping[Column, Mapping[str, Scores]], resamples: int, seed: int) -> list[Record]:
    """Records of set `name` from scores per query (column → metric → float64 (n,)), by column, then as in METRICS."""
    keys = [(column, metric) for column, by_metric in scores.items() for metric in METRICS if metric in by_metric]
    made: dict[tuple[Column, str], Record] = {}
    for count in {len(scores[column][metric]) for column, metric in keys}:
        same = [(column, metric) for column, metric in keys if len(scores[column][metric]) == count]
        series = np.stack([scores[column][metric] for column, metric in same])
        for (column, metric), numbers in zip(same, _intervals(series, resamples, seed), strict=True):
            made[column, metric] = Record(name, column.method, column.dim, metric, *numbers, n=count)
    return [made[key] for key in keys]


def compare(
    scores: Mapping[Column, Mapping[str, Scores]], metric: str, method: str, resamples: int, seed: int
) -> list[Comparison]:
    """Paired differences of `method` to every other method at the same dim, by dim."""
    pairs = [
        (mine, other)
        for mine in scores
        for other in scores
        if mine.method == method and other.method != method and other.dim == mine.dim
    ]
    if not pairs:
        return []
    series = np.stack([scores[mine][metric] - scores[other][metric] for mine, other in pairs])
    return [
        Comparison(metric, mine.dim, method, other.method, *numbers)
        for (mine, other), numbers in zip(pairs, _intervals(series, resamples, seed), strict=True)
    ]
