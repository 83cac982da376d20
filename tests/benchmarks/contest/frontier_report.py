"""The files that a run of the frontier leaves: frontier.json, chosen.json, frontier.md and the curves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from tests.benchmarks.contest.asked import TEST, Asked
from tests.benchmarks.contest.codes import TIMES
from tests.benchmarks.contest.curves import Line, draw_lines
from tests.benchmarks.contest.frontier_results import (
    Chosen,
    choose,
    chosen_records,
    code_records,
    kept,
    over_seeds,
    overlap,
)
from tests.benchmarks.contest.frontier_runs import Task
from tests.benchmarks.contest.report import commit, write_list
from tests.benchmarks.contest.tables import head, row

Grouped = Mapping[tuple[str, str, int], Sequence[Chosen]]
_OURS, _FAISS = "ours", "faiss"


def write_frontier(folder: Path, tasks: Sequence[Task], sets: Sequence[Asked], arguments: str) -> None:
    """Write every file from what is there."""
    folder.mkdir(parents=True, exist_ok=True)
    original = {asked.there.name: asked.original(TEST) for asked in sets}
    chosen = [c for task in tasks for c in choose(task, original[task.asked.there.name])]
    write_list(folder / "frontier.json", code_records(run for task in tasks for run in task.done()))
    write_list(folder / "chosen.json", chosen_records(chosen))
    methods = list(dict.fromkeys(task.name for task in tasks))
    found = over_seeds(chosen)
    parts = [
        f"# Search quality against bytes\n\n`python -m tests.benchmarks.frontier {arguments}` at commit {commit()}",
        _sizes(sets, original),
        "Share of the original vectors' nDCG@10 that is kept on test queries, and overlap@10 with their results; means "
        "over seeds. The pair of dim and encoding is chosen on train and dev queries. Bytes are at most the budget's.",
        *(summary(found, methods, sets, times) for times in TIMES),
        *(set_table(found, methods, asked.there.name) for asked in sets),
    ]
    text = "\n\n".join(part for part in parts if part) + "\n"
    (folder / "frontier.md").write_text(text)
    print(text)
    for asked in sets:
        _draw(folder, found, methods, asked.there.name)


def summary(found: Grouped, methods: Sequence[str], sets: Sequence[Asked], times: int) -> str:
    """One target: each method's mean over the sets, its least set, and ours beside the best of faiss."""
    budgets = {asked.there.name: asked.there.vectors.shape[1] * 4 // times for asked in sets}
    lines, means = [], dict[str, float]()
    for method in methods:
        own = {name: found[name, method, budget] for name, budget in budgets.items() if (name, method, budget) in found}
        if len(own) == len(budgets):
            shares = {name: kept(cells) for name, cells in own.items()}
            means[method] = float(np.mean([*shares.values()]))
            least = min(shares, key=lambda name: shares[name])
            overlaps = np.mean([overlap(cells) for cells in own.values()])
            lines.append((means[method], row(method, _summed(means[method], shares, least, float(overlaps)))))
    if not lines:
        return ""
    title = f"## {times} times smaller ({', '.join(f'{name} {budget}' for name, budget in budgets.items())} bytes)"
    table = [*head("method", ["mean kept", "least set", "overlap@10"]), *(text for _, text in sorted(lines)[::-1])]
    return "\n".join([title, "", *table, "", _against_faiss(means)])


def _summed(mean: float, shares: Mapping[str, float], least: str, overlaps: float) -> list[str]:
    return [f"{mean:.3f}", f"{shares[least]:.3f} ({least})", f"{overlaps:.3f}"]


def _against_faiss(means: Mapping[str, float]) -> str:
    faiss = {method: value for method, value in means.items() if method.startswith(_FAISS)}
    own = [method for method in (_OURS, "PCA, same codes") if method in means]
    if not faiss or not own:
        return ""
    best = max(faiss, key=lambda method: faiss[method])
    return (
        f"{own[0]} {means[own[0]]:.3f}, best of faiss ({best}) {faiss[best]:.3f}: {means[own[0]] - faiss[best]:+.3f}."
    )


def set_table(found: Grouped, methods: Sequence[str], name: str) -> str:
    """One set: what each method keeps at each budget, and the pairs that seed 0 chose."""
    budgets = sorted({budget for of, _, budget in found if of == name})
    if not budgets:
        return ""
    columns = [str(budget) for budget in budgets]

    def lines(shown: Callable[[Sequence[Chosen]], str]) -> list[str]:
        """A row for each method."""
        cells = {m: [shown(found.get((name, m, budget), ())) for budget in budgets] for m in methods}
        return [row(method, texts) for method, texts in cells.items() if any(text != "-" for text in texts)]

    shares = [*head("kept, by bytes", columns), *lines(_share)]
    return "\n".join([f"## {name}", "", *shares, "", *head("chosen, by bytes", columns), *lines(_pair)])


def _share(cells: Sequence[Chosen]) -> str:
    if not cells:
        return "-"
    spread = f" ± {np.std([c.kept for c in cells], ddof=1):.3f}" if len(cells) > 1 else ""
    return f"{kept(cells):.3f}{spread}"


def _pair(cells: Sequence[Chosen]) -> str:
    return f"{cells[0].run.pair.dim} x {cells[0].run.pair.encoding}" if cells else "-"


def _sizes(sets: Sequence[Asked], original: Mapping[str, float]) -> str:
    lines = head("set", ["rows", "dimensions", "queries to choose on", "test queries", "original nDCG@10"])
    for asked in sets:
        rows, dim = asked.there.vectors.shape
        counts = [f"{len(queries.vectors):,}" for queries in asked.queries.values()]
        lines.append(row(asked.there.name, [f"{rows:,}", str(dim), *counts, f"{original[asked.there.name]:.4f}"]))
    return "\n".join(lines)


def _draw(folder: Path, found: Grouped, methods: Sequence[str], name: str) -> None:
    lines = []
    for method in methods:
        own = {budget: cells for (of, m, budget), cells in found.items() if (of, m) == (name, method)}
        spread = {b: float(np.std([c.kept for c in cells])) for b, cells in own.items()}
        points = [(budget, kept(own[budget]), spread[budget]) for budget in sorted(own)]
        lines.append(Line(method, points, method.startswith(_OURS), method == "ours with labels"))
    draw_lines(folder / f"bytes-{name}", lines, "bytes a vector", "share of nDCG@10 kept", f"{name}, test queries")
