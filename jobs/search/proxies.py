"""What label-free proxies are worth: how well each follows nDCG@10 over methods and dims (the paper's Figure 7).

Two questions, because the first is easy: do all columns (methods × dims below the full one) rank alike by proxy and
by nDCG@10, and does the proxy put two methods of ONE dim in the order in which nDCG@10 puts them?
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from jobs.search.methods import ORIGINAL
from jobs.search.scoring import DISTANCES, Record, Scores

#: What is measured without labels, the most telling first.
PROXIES = ("overlap@10", "overlap@100", "overlap@1", "topk_distance", "pairwise_distance")
TRUTH = "ndcg@10"
#: Smallest difference of nDCG@10 between two methods of one dim that counts as an order.
_MARGIN = 0.005
#: Columns below which a correlation says nothing.
_FEWEST = 6
_BENCHMARK = Path(__file__).parent / "proxies.json"


@dataclass(frozen=True)
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


def proxy_validity(records: Sequence[Record]) -> list[ProxyValidity]:
    """The worth of every proxy that was measured on one set; nothing where nDCG@10 was not, or too few columns were."""
    value = {(r.method, r.dim, r.metric): r.value for r in records}
    full = next((r.dim for r in records if r.method == ORIGINAL), 0)
    columns = [(m, w) for m, w, metric in value if metric == TRUTH and m != ORIGINAL and w < full]
    if len(columns) < _FEWEST:
        return []
    truth = np.array([value[m, w, TRUTH] for m, w in columns])
    found = []
    for proxy in PROXIES:
        if any((m, w, proxy) not in value for m, w in columns):
            continue
        sign = -1.0 if proxy in DISTANCES else 1.0
        numbers = sign * np.array([value[m, w, proxy] for m, w in columns])
        agree = [
            (numbers[a] - numbers[b]) * (truth[a] - truth[b]) > 0
            for a, b in combinations(range(len(columns)), 2)
            if columns[a][1] == columns[b][1] and abs(truth[a] - truth[b]) >= _MARGIN
        ]
        found.append(
            ProxyValidity(
                records[0].set,
                proxy,
                correlation(ranks(numbers), ranks(truth)),
                correlation(numbers, truth),
                round(float(np.mean(agree)), 4) if agree else None,
                len(agree),
                len(columns),
            )
        )
    return found


def correlation(one: Scores, other: Scores) -> float:
    """Pearson's correlation of two (n,); 0 where one of them does not vary."""
    one, other = one - one.mean(), other - other.mean()
    scale = float(np.sqrt((one @ one) * (other @ other)))
    return round(float(one @ other) / scale, 4) if scale > 0 else 0.0


def ranks(numbers: Scores) -> Scores:
    """Ranks 1..n of (n,), equal numbers sharing their mean rank."""
    _, place, times = np.unique(numbers, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(times) - (times - 1) / 2)[place])


@dataclass(frozen=True)
class Kept:
    """What columns with an overlap@10 in [`low`, `high`) kept of nDCG@10 in the benchmark: the least, the median."""

    low: float
    high: float
    least: float
    median: float
    columns: int


@dataclass(frozen=True)
class Benchmark:
    """The worth of the proxies on public sets with judgments, measured once and shipped: `source` says how."""

    source: str
    worth: tuple[ProxyValidity, ...]
    kept: tuple[Kept, ...]

    def of(self, proxy: str) -> list[ProxyValidity]:
        """The worth of one proxy, a set each."""
        return [worth for worth in self.worth if worth.proxy == proxy]

    def kept_at(self, overlap: float) -> Kept | None:
        """What was kept at this overlap@10; None where the benchmark has no column."""
        return next((kept for kept in self.kept if kept.low <= overlap < kept.high), None)


@cache
def benchmark() -> Benchmark:
    """The shipped figures (made by tests/benchmarks/proxies.py)."""
    shipped: dict[str, Any] = json.loads(_BENCHMARK.read_text(encoding="utf-8"))
    return Benchmark(
        shipped["source"],
        tuple(ProxyValidity(**worth) for worth in shipped["worth"]),
        tuple(Kept(**kept) for kept in shipped["kept"]),
    )
