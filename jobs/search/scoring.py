"""From ranked lists to records: retrieval measures, and how sure the means are.

Retrieval measures come from pytrec_eval (the code behind trec_eval). Every mean has a 95% percentile interval over
resampled queries; series of one length share their resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytrec_eval

from adaptor.baselines import Column, float32_bytes
from adaptor.quality import Scores
from adaptor.rows import Ids
from jobs.config.targets import RETRIEVAL_MEASURES

#: Scores per query, float64 (n,), by column and measure.
ColumnScores = dict[Column, dict[str, Scores]]

#: trec_eval's names of the measures that need judgments.
RETRIEVAL = {"mrr@10": "recip_rank", "ndcg@10": "ndcg_cut_10", "recall@10": "recall_10", "recall@100": "recall_100"}
OVERLAPS = {"overlap@1": 1, "overlap@10": 10, "overlap@100": 100}
DISTANCES = ("pairwise_distance", "topk_distance")
#: Every measure in the order in which it is shown.
METRICS = (*RETRIEVAL_MEASURES, *OVERLAPS, *DISTANCES)
#: Length of the ranked lists that the measures need.
DEPTH = 100

_RESAMPLES_AT_ONCE = 64


class MeasureEstimate(NamedTuple):
    """A mean and its 95% interval."""

    value: float
    ci_low: float
    ci_high: float


@dataclass(frozen=True, kw_only=True)
class MetricRecord:
    """One number of metrics.json, in its words: the mean over `n` queries and its 95% interval."""

    set: str
    method: str
    dim: int
    encoding: str
    bytes: int
    metric: str
    value: float
    ci_low: float
    ci_high: float
    n: int

    @property
    def column(self) -> Column:
        """What was measured."""
        return Column(self.method, self.dim, self.encoding)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Mean paired difference of two methods at one dim, both in float32, and its 95% interval: beyond chance where that
    excludes 0."""

    metric: str
    dim: int
    method: str
    against: str
    difference: float
    ci_low: float
    ci_high: float


def retrieval_scores(ranked_rows: Ids, grades: Mapping[int, Mapping[int, int]]) -> dict[str, Scores]:
    """Score ranked rows, int64 (q, k), best first, -1 where there are no more, against judgments: position of the query
    → row of the document (negative: not in the source) → grade.

    Returns each measure of RETRIEVAL as float64 (j,) over the j judged queries in the order of `grades`. Only the order
    of the list counts: scores are made from ranks, so no measure breaks ties by its own rule. A row that stands twice
    keeps its better rank; a relevant document that is absent counts as missed, as in trec_eval.
    """
    judged = {str(query): {str(row): grade for row, grade in rows.items()} for query, rows in grades.items()}
    ranked = {str(q): [str(row) for row in dict.fromkeys(ranked_rows[q].tolist()) if row >= 0] for q in grades}
    run = {query: {row: float(DEPTH - i) for i, row in enumerate(rows[:DEPTH])} for query, rows in ranked.items()}
    results = pytrec_eval.RelevanceEvaluator(judged, {*RETRIEVAL.values()}).evaluate(run)
    # trec_eval says nothing about a query that found nothing: it scores 0.
    scores = {
        name: np.array([results.get(query, {}).get(trec_name, 0.0) for query in judged], np.float64)
        for name, trec_name in RETRIEVAL.items()
    }
    scores["mrr@10"][scores["mrr@10"] < 1 / 10] = 0.0  # trec_eval looks at the whole list
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


def make_records(
    name: str, scores: ColumnScores, resamples: int, seed: int, bytes_of: Callable[[Column], int] = float32_bytes
) -> list[MetricRecord]:
    """Records of set `name` from scores per query, by column, then as in METRICS; `bytes_of` a stored vector."""
    keys = [(column, metric) for column, by_metric in scores.items() for metric in METRICS if metric in by_metric]
    series = {(column, metric): scores[column][metric] for column, metric in keys}
    estimates: dict[tuple[Column, str], MeasureEstimate] = {}
    for count in {len(numbers) for numbers in series.values()}:
        same = {key: numbers for key, numbers in series.items() if len(numbers) == count}
        estimates |= zip(same, estimate_means(np.stack([*same.values()]), resamples, seed), strict=True)
    return [
        MetricRecord(
            set=name,
            **column._asdict(),
            bytes=bytes_of(column),
            metric=metric,
            n=len(numbers),
            **estimates[column, metric]._asdict(),
        )
        for (column, metric), numbers in series.items()
    ]


def compare(scores: ColumnScores, metric: str, method: str, resamples: int, seed: int) -> list[Comparison]:
    """Paired differences of `method` to every other method at the same dim, by dim."""
    pairs = [
        (mine, other)
        for mine in scores
        for other in scores
        if mine.method == method and other.method != method and other[1:] == mine[1:]
    ]
    if not pairs:
        return []
    series = np.stack([scores[mine][metric] - scores[other][metric] for mine, other in pairs])
    return [
        Comparison(
            metric=metric, dim=mine.dim, method=method, against=other.method, difference=mean, ci_low=low, ci_high=high
        )
        for (mine, other), (mean, low, high) in zip(pairs, estimate_means(series, resamples, seed), strict=True)
    ]


def estimate_means(series: Scores, resamples: int, seed: int) -> list[MeasureEstimate]:
    """The mean of every series of (s, n), with its interval."""
    return intervals(series.mean(axis=1), bootstrap_means(series, resamples, seed))


def intervals(values: Scores, resampled: Scores) -> list[MeasureEstimate]:
    """Values (s,) with the 95% intervals of resampled ones (s, r)."""
    low, high = np.percentile(resampled, [2.5, 97.5], axis=1)
    # Rounded so that the last bits of a sum, which differ between processors, do not reach the files.
    return [MeasureEstimate(*(round(n, 6) for n in row)) for row in np.stack([values, low, high], axis=1).tolist()]


def main_metric(metrics: Sequence[str]) -> str:
    """`ndcg@10` where it was measured, else `overlap@10`."""
    return "ndcg@10" if "ndcg@10" in metrics else "overlap@10"
