"""What measures without labels are worth: their correlation with nDCG@10 over all methods and widths (paper, Figure
7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import pearsonr, spearmanr

from tests.benchmarks.contest.results import MAIN, Run, cells

#: Measures that need no labels. The distances fall where quality rises.
PROXIES = ("pairwise_distance", "topk_distance", "overlap@1", "overlap@10", "overlap@100")


@dataclass(frozen=True)
class Point:
    """One method at one width on one set: a proxy, and nDCG@10 as a share of the full width's."""

    set: str
    method: str
    width: int
    proxy: float
    ndcg: float


def points(runs: Sequence[Run], proxy: str) -> list[Point]:
    """One point per set, method and width, means over seeds."""
    measured, ndcg = cells(runs, proxy), cells(runs, MAIN)
    full = {name: ndcg[name, method, width].value for name, method, width in ndcg if method == "truncation"}
    widest = {name: max(w for n, m, w in ndcg if n == name and m == "truncation") for name in full}
    return [
        Point(name, method, width, measured[name, method, width].value, cell.value / reference)
        for (name, method, width), cell in ndcg.items()
        if name in full and (reference := ndcg[name, "truncation", widest[name]].value)
    ]


def correlations(runs: Sequence[Run], learns_labels: frozenset[str]) -> list[dict[str, Any]]:
    """Correlations per proxy and set, of the methods without labels and of all; `set` is "all" over the sets together.

    Labels move vectors away from the original on purpose: there a proxy says how far, not how well.
    """
    made = []
    for proxy in PROXIES:
        found = points(runs, proxy)
        for name in (*dict.fromkeys(p.set for p in found), "all"):
            for group in ("without labels", "all methods"):
                chosen = [
                    p
                    for p in found
                    if name in (p.set, "all") and (group == "all methods" or p.method not in learns_labels)
                ]
                made.append({"proxy": proxy, "set": name, "methods": group, **_correlate(chosen)})
    return made


def _correlate(chosen: Sequence[Point]) -> dict[str, Any]:
    proxy, ndcg = np.array([p.proxy for p in chosen]), np.array([p.ndcg for p in chosen])
    if len(chosen) < 3 or not proxy.std() or not ndcg.std():
        return {"pearson": None, "spearman": None, "n": len(chosen)}
    return {
        "pearson": round(float(pearsonr(proxy, ndcg).statistic), 4),
        "spearman": round(float(spearmanr(proxy, ndcg).statistic), 4),
        "n": len(chosen),
    }
