"""From runs of the frontier to what is reported: the pair chosen at each budget, and the share of the original's
quality that it keeps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.benchmarks.contest.frontier_runs import CodeRun, Task
from tests.benchmarks.contest.results import MAIN

OVERLAP = "overlap@10"


@dataclass(frozen=True)
class Chosen:
    """The pair that a method chose for a budget on the queries for choosing, and its share of the original vectors'
    nDCG@10 on test queries."""

    budget: int
    run: CodeRun
    kept: float


def choose(task: Task, original: float) -> list[Chosen]:
    """For each budget the pair with the best nDCG@10 on the queries for choosing; nothing where a pair is missing.
    `original` is the nDCG@10 of the original vectors on test queries."""
    own = {run.pair: run for run in task.done()}
    chosen = []
    for budget in task.budgets:
        pairs = list(task.method.pairs(task.input_dim, budget))
        if pairs and all(pair in own for pair in pairs):
            best = max((own[pair] for pair in pairs), key=lambda run: float(run.choice[MAIN].mean()))
            chosen.append(Chosen(budget, best, float(best.test[MAIN].mean()) / original))
    return chosen


def code_records(runs: Iterable[CodeRun]) -> list[dict[str, Any]]:
    """Every pair that was measured, by metric: means over test queries."""
    return [record for run in runs for record in _records(run)]


def chosen_records(chosen: Iterable[Chosen]) -> list[dict[str, Any]]:
    """The chosen pairs by budget, with the share of the original's nDCG@10 as a metric of its own."""
    made = []
    for c in chosen:
        made += [{**record, "budget": c.budget} for record in _records(c.run)]
        made.append({**made[-1], "metric": f"{MAIN} kept", "value": c.kept})
    return made


def _records(run: CodeRun) -> list[dict[str, Any]]:
    named = {"set": run.set, "method": run.method, "dim": run.pair.dim, "encoding": run.pair.encoding}
    return [
        {
            **named,
            "bytes": run.bytes,
            "metric": metric,
            "value": float(values.mean()),
            "seed": run.seed,
            "n": len(values),
        }
        for metric, values in run.test.items()
    ]


def over_seeds(chosen: Iterable[Chosen]) -> dict[tuple[str, str, int], list[Chosen]]:
    """(set, method, budget) → one for each seed."""
    grouped: dict[tuple[str, str, int], list[Chosen]] = {}
    for c in chosen:
        grouped.setdefault((c.run.set, c.run.method, c.budget), []).append(c)
    return grouped


def kept(found: Sequence[Chosen]) -> float:
    """Mean over seeds of the share that is kept."""
    return float(np.mean([c.kept for c in found]))


def overlap(found: Sequence[Chosen]) -> float:
    """Mean over seeds of overlap@10."""
    return float(np.mean([c.run.test[OVERLAP].mean() for c in found]))
