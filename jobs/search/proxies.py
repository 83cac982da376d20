"""How well label-free proxies follow nDCG@10 over methods and dims (the paper's Figure 7).

Two questions, because the first is easy: do all columns (methods × dims below the full one) rank alike by proxy and
by nDCG@10, and does the proxy put two methods of ONE dim in the order of nDCG@10?
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from adaptor.baselines import ORIGINAL
from adaptor.quality import Scores
from jobs.search.scoring import DISTANCES, MetricRecord

#: What is measured without labels, the most telling first.
PROXIES = ("overlap@10", "overlap@100", "overlap@1", "topk_distance", "pairwise_distance")
TRUTH = "ndcg@10"
#: Smallest difference of nDCG@10 between two methods of one dim that counts as an order.
_MARGIN = 0.005
#: Columns below which a correlation says nothing.
_FEWEST = 6
#: The shipped figures: a `Benchmark` as JSON (made by tests/benchmarks/proxies.py).
BENCHMARK_FILE = Path(__file__).parent / "proxies.json"


@dataclass(frozen=True, kw_only=True)
class ProxyValidity:
    """How one proxy follows nDCG@10 on one set: rank and linear correlation over `columns` methods × dims, and of
    `pairs` pairs of methods at one dim the share in the same order (None without pairs). Distances count reversed."""

    set: str
    proxy: str
    rank_correlation: float
    linear_correlation: float
    same_order: float | None
    pairs: int
    columns: int


@dataclass(frozen=True, kw_only=True)
class OverlapBand:
    """What columns with an overlap@10 in [`low`, `high`) kept of nDCG@10 in the benchmark: the least, the median."""

    low: float
    high: float
    least: float
    median: float
    columns: int


@dataclass(frozen=True)
class Benchmark:
    """The validity of the proxies on public sets with judgments, measured once and shipped: `source` says how."""

    source: str
    validity: tuple[ProxyValidity, ...]
    overlap_bands: tuple[OverlapBand, ...]

    def band_at(self, overlap: float) -> OverlapBand | None:
        """The band of this overlap@10; None where the benchmark has no column."""
        return next((band for band in self.overlap_bands if band.low <= overlap < band.high), None)


@cache
def benchmark() -> Benchmark:
    """The shipped figures."""
    return TypeAdapter(Benchmark).validate_json(BENCHMARK_FILE.read_bytes())


def proxy_validity(records: Sequence[MetricRecord]) -> list[ProxyValidity]:
    """The validity of every proxy that was measured on one set; nothing without nDCG@10, or with too few columns.

    Only float32 counts: what a proxy says of methods must not depend on how many encodings one of them has.
    """
    values = {(record.column, record.metric): record.value for record in records if record.encoding == "float32"}
    full = next((record.dim for record in records if record.method == ORIGINAL), 0)
    columns = [c for c, metric in values if metric == TRUTH and c.method != ORIGINAL and c.dim < full]
    if len(columns) < _FEWEST:
        return []
    truth = np.array([values[column, TRUTH] for column in columns])
    pairs = [
        (a, b)
        for a, b in combinations(range(len(columns)), 2)
        if columns[a].dim == columns[b].dim and abs(truth[a] - truth[b]) >= _MARGIN
    ]
    validity = []
    for proxy in PROXIES:
        if any((column, proxy) not in values for column in columns):
            continue
        sign = -1.0 if proxy in DISTANCES else 1.0
        numbers = sign * np.array([values[column, proxy] for column in columns])
        agree = [(numbers[a] - numbers[b]) * (truth[a] - truth[b]) > 0 for a, b in pairs]
        validity.append(
            ProxyValidity(
                set=records[0].set,
                proxy=proxy,
                rank_correlation=correlation(ranks(numbers), ranks(truth)),
                linear_correlation=correlation(numbers, truth),
                same_order=round(float(np.mean(agree)), 4) if agree else None,
                pairs=len(agree),
                columns=len(columns),
            )
        )
    return validity


def correlation(one: Scores, other: Scores) -> float:
    """Pearson's correlation of two (n,), to four digits; 0 where one of them does not vary."""
    varying = np.ptp(one) > 0 and np.ptp(other) > 0
    return round(float(np.corrcoef(one, other)[0, 1]), 4) if varying else 0.0


def ranks(numbers: Scores) -> Scores:
    """Ranks 1..n of (n,), equal numbers sharing their mean rank."""
    _, distinct, times = np.unique(numbers, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(times) - (times - 1) / 2)[distinct])
