"""The files that a run leaves: quality.json, comparisons.json, proxies.json, quality.md and the drawings."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from tests.benchmarks.contest.ablation import VARIANTS
from tests.benchmarks.contest.curves import draw_proxies, draw_widths
from tests.benchmarks.contest.methods import OURS, Method
from tests.benchmarks.contest.proxies import worth
from tests.benchmarks.contest.results import MAIN, SHOWN, Cell, Run, cells, comparisons, records
from tests.benchmarks.contest.sets import ROOT, SearchSet


@dataclass(frozen=True)
class Facts:
    """Sizes of a set."""

    set: str
    corpus: int
    dim: int
    train_queries: int
    test_queries: int
    judged: int

    @classmethod
    def of(cls, there: SearchSet) -> Self:
        """The sizes of a loaded set."""
        rows, dim = there.vectors.shape
        test = there.test
        return cls(there.name, rows, dim, len(there.labelled.queries.ids), len(test.vectors), len(test.judged))


def write_report(
    folder: Path, runs: Sequence[Run], facts: Sequence[Facts], methods: Mapping[str, Method], arguments: str
) -> None:
    """Write every file of the report from what is there."""
    folder.mkdir(parents=True, exist_ok=True)
    runs = list(runs)
    contest = [run for run in runs if run.method not in VARIANTS]
    compared = [row for ours in OURS if ours in methods for row in comparisons(contest, ours, _rivals(ours, methods))]
    learns = frozenset(name for name, method in methods.items() if method.labels)
    proxies = worth(contest, learns)
    _write_list(folder / "quality.json", records(runs))
    _write_list(folder / "comparisons.json", compared)
    _write_list(folder / "proxies.json", proxies)
    parts = [
        _heading(facts, arguments),
        *(_table(contest, metric, methods) for metric in SHOWN),
        _comparison_table(compared),
        _proxy_table(proxies),
        _ablation_table(runs),
    ]
    (folder / "quality.md").write_text("\n\n".join(part for part in parts if part) + "\n")
    draw_widths(folder, contest, methods)
    draw_proxies(folder, contest, methods)
    print(f"written: {folder}/quality.md and what it is made of")


def _rivals(ours: str, methods: Mapping[str, Method]) -> list[str]:
    """Those that learn from no more than ours does."""
    return [name for name, method in methods.items() if name not in VARIANTS and method.labels <= methods[ours].labels]


def _write_list(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")


def _heading(facts: Sequence[Facts], arguments: str) -> str:
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    lines = [
        "# Search quality by method and width",
        "",
        f"`python tests/benchmarks/quality.py {arguments}` at commit {commit.stdout.strip() or 'unknown'}",
        "",
        "| set | rows | dimensions | train queries | test queries | judged |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {f.set} | {f.corpus:,} | {f.dim} | {f.train_queries:,} | {f.test_queries:,} | {f.judged:,} |" for f in facts
    ]
    return "\n".join(lines)


def _table(runs: Sequence[Run], metric: str, methods: Mapping[str, Method]) -> str:
    found = cells(runs, metric)
    widths = sorted({width for _, _, width in found})
    names = list(dict.fromkeys(name for name, _, _ in found))
    lines = [f"## {metric}", "", "Mean over seeds ± standard deviation over seeds; † learns from judgments."]
    for name in names:
        lines += ["", f"**{name}**", "", *_head("method", widths)]
        for method, contestant in methods.items():
            own = [found.get((name, method, width)) for width in widths]
            if any(own):
                lines.append(_row(f"{method} †" if contestant.labels else method, [_shown(cell) for cell in own]))
    return "\n".join(lines)


def _shown(cell: Cell | None) -> str:
    if cell is None:
        return "-"
    return f"{cell.value:.3f}" + (f" ± {cell.spread:.3f}" if cell.seeds > 1 else "")


def _comparison_table(compared: Sequence[Mapping[str, Any]]) -> str:
    """Differences in points of nDCG@10 (hundredths), with their interval."""
    lines = [
        f"## Paired differences in {MAIN}",
        "",
        "Points (hundredths) and 95% bootstrap interval over test queries, scores averaged over seeds first. The best "
        "other is the best on these test queries among those that learn from no more.",
        "",
        "| set | ours | width | against PCA | best other | against it |",
        "|---|---|--:|--:|---|--:|",
    ]
    cells_of: dict[tuple[str, str, int], dict[str, Mapping[str, Any]]] = {}
    for row in compared:
        cells_of.setdefault((row["set"], row["method"], row["width"]), {})[row["role"]] = row
    for (name, ours, width), roles in cells_of.items():
        pca, best = roles.get("pca"), roles.get("best")
        other = best["against"] if best else "-"
        lines.append(_row(name, [ours, str(width), _difference(pca), other, _difference(best)]))
    return "\n".join(lines) if cells_of else ""


def _difference(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "-"
    return f"{100 * row['difference']:+.1f} [{100 * row['ci_low']:+.1f}, {100 * row['ci_high']:+.1f}]"


def _proxy_table(worth: Sequence[Mapping[str, Any]]) -> str:
    """Correlations over methods and widths; distances count reversed, so that 1 is best everywhere."""
    lines = [
        f"## What measures without labels are worth: how they follow {MAIN}",
        "",
        "Over all methods and widths below the full one: rank and linear correlation (distances reversed, 1 is best), "
        "and how often two methods of one width come in the same order.",
        "",
        "| measure | set | methods | rank | linear | columns | same order | pairs |",
        "|---|---|---|--:|--:|--:|--:|--:|",
    ]
    for w in worth:
        order = "-" if w["same_order"] is None else f"{w['same_order']:.2f}"
        numbers = [f"{w['rank_correlation']:+.3f}", f"{w['linear_correlation']:+.3f}", str(w["columns"])]
        lines.append(_row(w["proxy"], [w["set"], w["methods"], *numbers, order, str(w["pairs"])]))
    return "\n".join(lines)


def _ablation_table(runs: Sequence[Run]) -> str:
    """Each variant minus the default it varies, in points, mean over the sets that both were run on."""
    found = cells(runs, MAIN)
    widths = sorted({width for _, _, width in found})
    rows = []
    for variant, method in VARIANTS.items():
        base = OURS[method.labels]
        names = [n for n in dict.fromkeys(n for n, m, _ in found if m == variant) if (n, base, widths[0]) in found]
        if names:
            gaps = [
                float(np.mean([found[n, variant, w].value - found[n, base, w].value for n in names])) for w in widths
            ]
            rows.append(_row(f"{variant} ({', '.join(names)})", [f"{100 * gap:+.1f}" for gap in gaps]))
    if not rows:
        return ""
    text = f"## Ablation: points of {MAIN} that a change of the default costs (-) or brings (+), mean of the sets"
    return "\n".join([text, "", *_head("variant (sets)", widths), *rows])


def _head(first: str, widths: Sequence[int]) -> list[str]:
    return [_row(first, [str(width) for width in widths]), "|---|" + "--:|" * len(widths)]


def _row(first: str, others: Sequence[str]) -> str:
    return f"| {first} | " + " | ".join(others) + " |"
