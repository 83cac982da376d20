"""The tables of quality.md, as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from adaptor.baselines import ORIGINAL
from tests.benchmarks.contest.ablation import VARIANTS
from tests.benchmarks.contest.methods import OURS, Method
from tests.benchmarks.contest.results import MAIN, Cell, Run, cells


def table(runs: Sequence[Run], metric: str, methods: Mapping[str, Method]) -> str:
    """A measure per set, the mean of the sets, and for the main measure the share of the original's value."""
    found = cells(runs, metric)
    names = list(dict.fromkeys(name for name, _, _ in found))
    own = {name: {dim for n, method, dim in found if n == name and method != ORIGINAL} for name in names}
    dims = sorted(set[int].intersection(*own.values())) if own else []  # of the means: what all sets have
    lines = [f"## {metric}", "", "Mean over seeds ± standard deviation over seeds; † learns from judgments."]
    for name in names:
        lines += ["", f"**{name}**", "", *head("method", sorted(own[name]))]
        lines += _rows(methods, partial(_one, found, name), sorted(own[name]))
    full = {name: cell.value for (name, method, _), cell in found.items() if method == ORIGINAL}
    if len(names) > 1 and len(full) == len(names):
        lines += ["", "**mean of the sets**", "", *head("method", dims)]
        lines += _rows(methods, partial(_mean, found, dict.fromkeys(names, 1.0)), dims)
    if metric == MAIN and full:
        lines += ["", "**share of the original vectors' value, mean of the sets**", "", *head("method", dims)]
        lines += _rows(methods, partial(_mean, found, full), dims)
    return "\n".join(lines)


def _rows(methods: Mapping[str, Method], shown: Callable[[str, int], str], dims: Sequence[int]) -> list[str]:
    """A row per method that has any number."""
    lines = []
    for method, contestant in methods.items():
        texts = [shown(method, dim) for dim in dims]
        if any(text != "-" for text in texts):
            mark = " †" if contestant.labels else " ‡" if contestant.queries else ""
            lines.append(row(f"{method}{mark}", texts))
    return lines


def _mean(found: Mapping[tuple[str, str, int], Cell], scale: Mapping[str, float], method: str, dim: int) -> str:
    """Mean over sets of a method's value divided by the set's scale; nothing where a set is missing."""
    own = [found.get((name, method, dim)) for name in scale]
    values = [cell.value / scale[name] for name, cell in zip(scale, own, strict=True) if cell is not None]
    return f"{np.mean(values):.3f}" if len(values) == len(scale) else "-"


def _one(found: Mapping[tuple[str, str, int], Cell], name: str, method: str, dim: int) -> str:
    cell = found.get((name, method, dim))
    if cell is None:
        return "-"
    return f"{cell.value:.3f}" + (f" ± {cell.spread:.3f}" if cell.seeds > 1 else "")


def comparison_table(compared: Sequence[Mapping[str, Any]]) -> str:
    """Differences in points of nDCG@10 (hundredths), with their interval."""
    lines = [
        f"## Paired differences in {MAIN}",
        "",
        "Points (hundredths) and 95% bootstrap interval over test queries, scores averaged over seeds first. The best "
        "other is the best on these test queries among those that learn from no more.",
        "",
        "| set | ours | dim | against PCA | best other | against it |",
        "|---|---|--:|--:|---|--:|",
    ]
    cells_of: dict[tuple[str, str, int], dict[str, Mapping[str, Any]]] = {}
    for found in compared:
        cells_of.setdefault((found["set"], found["method"], found["dim"]), {})[found["role"]] = found
    for (name, ours, dim), roles in cells_of.items():
        pca, best = roles.get("pca"), roles.get("best")
        other = best["against"] if best else "-"
        lines.append(row(name, [ours, str(dim), _difference(pca), other, _difference(best)]))
    return "\n".join(lines) if cells_of else ""


def _difference(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "-"
    return f"{100 * row['difference']:+.1f} [{100 * row['ci_low']:+.1f}, {100 * row['ci_high']:+.1f}]"


def proxy_table(validity: Sequence[Mapping[str, Any]]) -> str:
    """Correlations over methods and dims; distances count reversed, so that 1 is best everywhere."""
    lines = [
        f"## Validity of measures without labels: how they follow {MAIN}",
        "",
        "Over all methods and dims below the full one: rank and linear correlation (distances reversed, 1 is best), "
        "and how often two methods of one dim come in the same order.",
        "",
        "| measure | set | methods | rank | linear | columns | same order | pairs |",
        "|---|---|---|--:|--:|--:|--:|--:|",
    ]
    for w in validity:
        order = "-" if w["same_order"] is None else f"{w['same_order']:.2f}"
        numbers = [f"{w['rank_correlation']:+.3f}", f"{w['linear_correlation']:+.3f}", str(w["columns"])]
        lines.append(row(w["proxy"], [w["set"], w["methods"], *numbers, order, str(w["pairs"])]))
    return "\n".join(lines)


def ablation_table(runs: Sequence[Run]) -> str:
    """Each variant minus the default it varies, in points, mean over the sets that both were run on."""
    found = cells(runs, MAIN)
    dims = sorted({dim for _, _, dim in found})
    rows = []
    for variant, method in VARIANTS.items():
        base = OURS[method.labels]
        names = [n for n in dict.fromkeys(n for n, m, _ in found if m == variant) if (n, base, dims[0]) in found]
        if names:
            texts = [_gap([(found.get((n, variant, w)), found.get((n, base, w))) for n in names]) for w in dims]
            rows.append(row(f"{variant} ({', '.join(names)})", texts))
    if not rows:
        return ""
    text = f"## Ablation: points of {MAIN} that a change of the default costs (-) or brings (+), mean of the sets"
    return "\n".join([text, "", *head("variant (sets)", dims), *rows])


def _gap(pairs: Sequence[tuple[Cell | None, Cell | None]]) -> str:
    """Mean difference in points, over the sets' variant and default; nothing where a set lacks one of them."""
    gaps = [varied.value - default.value for varied, default in pairs if varied and default]
    return f"{100 * float(np.mean(gaps)):+.1f}" if len(gaps) == len(pairs) else "-"


def head(first: str, columns: Sequence[object]) -> list[str]:
    """The first two lines of a table; all columns but the first hold numbers."""
    return [row(first, [str(column) for column in columns]), "|---|" + "--:|" * len(columns)]


def row(first: str, others: Sequence[str]) -> str:
    """A line of a table."""
    return f"| {first} | " + " | ".join(others) + " |"
