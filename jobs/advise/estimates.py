"""Means with 95% intervals from the scores of single queries, absolute and as a share of the original. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from adaptor.baselines import ORIGINAL, Column
from adaptor.quality import Scores
from jobs.search.scoring import METRICS, ColumnScores, MeasureEstimate, bootstrap_means, intervals


@dataclass(frozen=True)
class Estimates:
    """Estimates of every column and measure: `absolute`, and `shares` of the original's value in the same resamples;
    `queries` counts those behind each measure."""

    absolute: Mapping[tuple[Column, str], MeasureEstimate]
    shares: Mapping[tuple[Column, str], MeasureEstimate]
    queries: Mapping[str, int]

    @property
    def metrics(self) -> list[str]:
        """The measures, in the order in which they are shown."""
        return [metric for metric in METRICS if metric in self.queries]

    def of(self, column: Column, metric: str, relative: bool = False) -> MeasureEstimate:
        """One estimate."""
        return (self.shares if relative else self.absolute)[column, metric]


def estimate(scores: ColumnScores, resamples: int, seed: int) -> Estimates:
    """Estimate from scores per query, the original among the columns. Absolute values lie in [0, 1]. All columns share
    the resampled queries: what is hard for both does not widen a share's interval."""
    columns = list(scores)
    original = next(number for number, column in enumerate(columns) if column.method == ORIGINAL)
    absolute: dict[tuple[Column, str], MeasureEstimate] = {}
    shares: dict[tuple[Column, str], MeasureEstimate] = {}
    for metric in scores[columns[original]]:
        keys = [(column, metric) for column in columns]
        series = np.stack([scores[column][metric] for column in columns])
        means, resampled = series.mean(axis=1), bootstrap_means(series, resamples, seed)
        absolute |= zip(keys, _within(intervals(means, resampled), 1.0), strict=True)
        ratios = intervals(_ratio(means, means[original]), _ratio(resampled, resampled[original]))
        shares |= zip(keys, _within(ratios, np.inf), strict=True)
    return Estimates(absolute, shares, {metric: len(numbers) for metric, numbers in scores[columns[original]].items()})


def combine(curves: Sequence[Estimates]) -> Estimates:
    """The middle of the values of several curves, and an interval that holds all of theirs: any may be right."""
    return Estimates(
        {key: _spanning([curve.absolute[key] for curve in curves]) for key in curves[0].absolute},
        {key: _spanning([curve.shares[key] for curve in curves]) for key in curves[0].shares},
        curves[0].queries,
    )


def _spanning(estimates: Sequence[MeasureEstimate]) -> MeasureEstimate:
    values, lows, highs = zip(*estimates, strict=True)
    return MeasureEstimate(round(sum(values) / len(values), 6), min(lows), max(highs))


def _ratio(part: Scores, whole: Scores) -> Scores:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _within(estimates: Sequence[MeasureEstimate], most: float) -> Iterator[MeasureEstimate]:
    """The estimates with every number in [0, most]."""
    return (MeasureEstimate(*(min(max(number, 0.0), most) for number in numbers)) for numbers in estimates)
