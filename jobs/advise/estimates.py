"""Means with 95% intervals, absolute and as a share of the original: from the scores of single queries. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from jobs.search.methods import ORIGINAL, Column
from jobs.search.scoring import METRICS, Scores, bootstrap_means


class Estimate(NamedTuple):
    """A value and its 95% interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Estimates:
    """Estimates of every column and measure; `shares` are those of the original's value (of the same resamples)."""

    absolute: Mapping[tuple[Column, str], Estimate]
    shares: Mapping[tuple[Column, str], Estimate]
    queries: Mapping[str, int]

    @property
    def dims(self) -> list[int]:
        """Dims, ascending."""
        return sorted({column.dim for column, _ in self.absolute if column.method != ORIGINAL})

    @property
    def methods(self) -> list[str]:
        """Methods without the original, in their own order."""
        return list(dict.fromkeys(column.method for column, _ in self.absolute if column.method != ORIGINAL))

    @property
    def metrics(self) -> list[str]:
        """Measures there are, in the order in which they are shown."""
        return [metric for metric in METRICS if metric in self.queries]

    def of(self, column: Column, metric: str, relative: bool = False) -> Estimate:
        """One estimate."""
        return (self.shares if relative else self.absolute)[column, metric]

    @property
    def original(self) -> Column:
        """The column of the original vectors."""
        return next(column for column, _ in self.absolute if column.method == ORIGINAL)


def estimate(scores: Mapping[Column, Mapping[str, Scores]], resamples: int, seed: int) -> Estimates:
    """Estimate from scores per query (column → metric → float64 (n,), the original among the columns).

    Absolute values lie in [0, 1]; queries are resampled together, so a share knows that hard queries are hard for both.
    """
    columns = list(scores)
    original = next(place for place, column in enumerate(columns) if column.method == ORIGINAL)
    absolute: dict[tuple[Column, str], Estimate] = {}
    shares: dict[tuple[Column, str], Estimate] = {}
    for metric in scores[columns[original]]:
        series = np.stack([scores[column][metric] for column in columns])
        means, resampled = series.mean(axis=1), bootstrap_means(series, resamples, seed)
        for place, column in enumerate(columns):
            absolute[column, metric] = _estimate(means[place], resampled[place], 1.0)
            shares[column, metric] = _estimate(
                _ratio(means[place], means[original]), _ratio(resampled[place], resampled[original]), np.inf
            )
    return Estimates(absolute, shares, {metric: len(numbers) for metric, numbers in scores[columns[original]].items()})


def combine(curves: Sequence[Estimates]) -> Estimates:
    """One estimate from those of several curves: the middle of their values, and an interval that holds all of theirs:
    nobody knows which curve the source follows."""
    return Estimates(
        {key: _spanning([curve.absolute[key] for curve in curves]) for key in curves[0].absolute},
        {key: _spanning([curve.shares[key] for curve in curves]) for key in curves[0].shares},
        curves[0].queries,
    )


def _spanning(found: Sequence[Estimate]) -> Estimate:
    values, lows, highs = zip(*found, strict=True)
    return Estimate(round(sum(values) / len(values), 6), min(lows), max(highs))


def _ratio(part: Scores, whole: Scores) -> Scores:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _estimate(value: Scores, resampled: Scores, most: float) -> Estimate:
    low, high = np.percentile(resampled, [2.5, 97.5])
    # Rounded so that the last bits of a sum, which differ between processors, do not reach the files.
    return Estimate(*(round(min(max(float(number), 0.0), most), 6) for number in (value, low, high)))
