"""From scores per query to what is reported: records, spread over seeds, paired comparisons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from adaptor.baselines import ORIGINAL, Column
from jobs.search.scoring import METRICS, compare, make_records
from tests.benchmarks.contest.scores import QueryScores

RESAMPLES, SEED = 1000, 0
#: Measures that comparisons and tables are about.
MAIN, SHOWN = "ndcg@10", ("ndcg@10", "recall@100", "overlap@10")


@dataclass(frozen=True)
class Run:
    """All that was measured of one method on one set with one seed: scores per dim."""

    set: str
    method: str
    seed: int
    scores: Mapping[int, QueryScores]


@dataclass(frozen=True)
class Cell:
    """A number of the tables: mean over seeds, and the standard deviation over them (0 with one seed)."""

    value: float
    spread: float
    seeds: int


def original(runs: Iterable[Run], name: str, input_dim: int) -> list[Run]:
    """The vectors as they are, which is what truncation to all `input_dim` columns gives; nothing where that was not
    run."""
    found = next((r for r in runs if r.set == name and r.method == "truncation" and input_dim in r.scores), None)
    return [] if found is None else [Run(name, ORIGINAL, 0, {input_dim: found.scores[input_dim]})]


def records(runs: Iterable[Run]) -> list[dict[str, Any]]:
    """Records as metrics.json has them, with 95% intervals over queries, plus `seed`."""
    made: list[dict[str, Any]] = []
    grouped: dict[tuple[str, int], dict[Column, QueryScores]] = {}
    for run in runs:
        columns = grouped.setdefault((run.set, run.seed), {})
        columns |= {Column(run.method, dim): scores for dim, scores in run.scores.items()}
    for (name, seed), columns in grouped.items():
        made += [{**vars(r), "seed": seed} for r in make_records(name, columns, RESAMPLES, SEED)]
    return made


def cells(runs: Iterable[Run], metric: str) -> dict[tuple[str, str, int], Cell]:
    """(set, method, dim) → mean and spread over seeds."""
    values: dict[tuple[str, str, int], list[float]] = {}
    for run in runs:
        for dim, scores in run.scores.items():
            values.setdefault((run.set, run.method, dim), []).append(float(scores[metric].mean()))
    return {
        key: Cell(float(np.mean(v)), float(np.std(v, ddof=1)) if len(v) > 1 else 0.0, len(v))
        for key, v in values.items()
    }


def over_seeds(runs: Iterable[Run], name: str, metric: str) -> dict[Column, dict[str, Any]]:
    """Scores per query of a set, averaged over seeds: what paired comparisons resample."""
    found: dict[Column, list[Any]] = {}
    for run in runs:
        if run.set == name:
            for dim, scores in run.scores.items():
                found.setdefault(Column(run.method, dim), []).append(scores[metric])
    return {column: {metric: np.mean(scores, axis=0)} for column, scores in found.items()}


def comparisons(runs: list[Run], ours: str, rivals: Iterable[str]) -> list[dict[str, Any]]:
    """Ours against PCA and against the best rival of each dim: paired difference in nDCG@10, 95% bootstrap interval.

    The best rival is the one with the highest mean on these very test queries, so it is favoured.
    """
    rivals = [r for r in rivals if r not in (ours, ORIGINAL)]
    made = []
    for name in dict.fromkeys(run.set for run in runs):
        scores = over_seeds(runs, name, MAIN)
        best = _best(scores, rivals)
        for c in compare(scores, MAIN, ours, RESAMPLES, SEED):
            if c.against == "pca" or c.against == best.get(c.dim):
                roles = [r for r, yes in (("pca", c.against == "pca"), ("best", c.against == best.get(c.dim))) if yes]
                made += [{"set": name, **vars(c), "role": role} for role in roles]
    return made


def _best(scores: Mapping[Column, Mapping[str, Any]], rivals: list[str]) -> dict[int, str]:
    best: dict[int, tuple[float, str]] = {}
    for column, by_metric in scores.items():
        value = float(by_metric[MAIN].mean())
        if column.method in rivals and value > best.get(column.dim, (-1.0, ""))[0]:
            best[column.dim] = (value, column.method)
    return {dim: method for dim, (_, method) in best.items()}


__all__ = ["METRICS", "Cell", "Run", "cells", "comparisons", "over_seeds", "records"]
