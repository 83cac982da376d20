"""Validity of measures without labels: how they follow nDCG@10 over all methods and dims (paper, Figure 7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from adaptor.baselines import ORIGINAL
from jobs.search.proxies import PROXIES, TRUTH, proxy_validity
from jobs.search.scoring import MeasureEstimate, MetricRecord
from tests.benchmarks.contest.results import Run, cells


@dataclass(frozen=True)
class Point:
    """One method at one dim on one set: a proxy, and nDCG@10 as a share of the full dimension's."""

    set: str
    method: str
    dim: int
    proxy: float
    ndcg: float


def points(runs: Sequence[Run], proxy: str) -> list[Point]:
    """One point per set, method and dim below the full one, means over seeds."""
    measured, ndcg = cells(runs, proxy), cells(runs, TRUTH)
    full = {name: (dim, cell.value) for (name, method, dim), cell in ndcg.items() if method == ORIGINAL}
    return [
        Point(name, method, dim, measured[name, method, dim].value, cell.value / full[name][1])
        for (name, method, dim), cell in ndcg.items()
        if name in full and dim < full[name][0]
    ]


def validity(runs: Sequence[Run], learns_labels: frozenset[str]) -> list[dict[str, Any]]:
    """The validity of each proxy on each set, over the methods that learn without labels, and over all.

    Labels move vectors away from the original on purpose: there a proxy says how far, not how well.
    """
    made = []
    for name in dict.fromkeys(run.set for run in runs):
        for group, left_out in (("without labels", learns_labels), ("all", frozenset[str]())):
            chosen = [run for run in runs if run.set == name and run.method not in left_out]
            found = {metric: cells(chosen, metric) for metric in (TRUTH, *PROXIES)}
            records = [
                MetricRecord(
                    set=name,
                    method=method,
                    dim=dim,
                    encoding="float32",
                    bytes=4 * dim,
                    metric=metric,
                    n=cell.seeds,
                    **MeasureEstimate(cell.value, cell.value, cell.value)._asdict(),
                )
                for metric, by_column in found.items()
                for (_, method, dim), cell in by_column.items()
            ]
            made += [{**asdict(v), "methods": group} for v in proxy_validity(records)]
    return made
