"""The files that a run of the frontier leaves: frontier.json, chosen.json, frontier.md and the curves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

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
from tests.benchmarks.contest.product_codes import OPTIONAL, PRODUCT
from tests.benchmarks.contest.report import commit, write_list
from tests.benchmarks.contest.tables import head, row

Grouped = Mapping[tuple[str, str, int], Sequence[Chosen]]
_OURS, _FAISS = "ours", "faiss"
#: Methods that the short table compares with the best of faiss.
_SHOWN = tuple(name for name in PRODUCT | OPTIONAL if "float16" not in name and "int8" not in name)


def write_frontier(folder: Path, tasks: Sequence[Task], sets: Sequence[Asked], arguments: str) -> None:
    """Write every file from what is there."""
    folder.mkdir(parents=True, exist_ok=True)
    original = {asked.there.name: asked.original(TEST) for asked in sets}
    chosen = [c for task in tasks for c in choose(task, original[task.asked.there.name])]
    write_list(folder / "frontier.json", code_records(run for task in tasks for run in task.done()))
    write_list(folder / "chosen.json", chosen_records(chosen))
    methods = list(dict.fromkeys(task.name for task in tasks))
    found = over_seeds(chosen)
    targets = {times: summaries(found, methods, sets, times) for times in TIMES}
    parts = [
        f"# Search quality against bytes\n\n`python -m tests.benchmarks.frontier {arguments}` at commit {commit()}",
        _sizes(sets, original),
        "Share of the original vectors' nDCG@10 that is kept on test queries, and overlap@10 with their results; means "
        "over seeds. The pair of dim and encoding is chosen on train and dev queries. Bytes are at most the budget's. "
        "Means are of the methods that were run on all these sets.",
        in_short(targets),
        *(summary(every, sets, times) for times, every in targets.items()),
        *(set_table(found, methods, asked.there.name) for asked in sets),
    ]
    text = "\n\n".join(part for part in parts if part) + "\n"
    (folder / "frontier.md").write_text(text)
    print(text)
    for asked in sets:
        _draw(folder, found, methods, asked.there.name)


class Summary(NamedTuple):
    """What a method keeps at one target: mean over the sets, the least set, and the mean overlap@10."""

    mean: float
    least: float
    least_set: str
    overlap: float
    method: str


def summaries(found: Grouped, methods: Sequence[str], sets: Sequence[Asked], times: int) -> list[Summary]:
    """One target: all methods that were measured on all sets, best first."""
    made = []
    for method in methods:
        own = {name: found.get((name, method, budget), ()) for name, budget in _budgets(sets, times).items()}
        if all(own.values()):
            shares = {name: kept(cells) for name, cells in own.items()}
            least = min(shares, key=lambda name: shares[name])
            overlaps = float(np.mean([overlap(cells) for cells in own.values()]))
            made.append(Summary(float(np.mean([*shares.values()])), shares[least], least, overlaps, method))
    return sorted(made, reverse=True)


def in_short(by_times: Mapping[int, Sequence[Summary]]) -> str:
    """The targets in a table: ours, and the best of faiss at the same bytes."""
    lines = head("times smaller", ["codes", "mean kept", "least set", "best of faiss", "mean kept", "difference"])
    for times, every in by_times.items():
        best = next((s for s in every if s.method.startswith(_FAISS)), None)
        for ours in (s for s in every if s.method in _SHOWN):
            texts = [best.method, f"{best.mean:.3f}", f"{ours.mean - best.mean:+.3f}"] if best else ["-"] * 3
            lines.append(row(f"{times}", [ours.method, f"{ours.mean:.3f}", _least(ours), *texts]))
    return "\n".join(lines) if len(lines) > 2 else ""


def summary(every: Sequence[Summary], sets: Sequence[Asked], times: int) -> str:
    """One target in full."""
    if not every:
        return ""
    budgets = ", ".join(f"{name} {budget}" for name, budget in _budgets(sets, times).items())
    rows = [row(s.method, [f"{s.mean:.3f}", _least(s), f"{s.overlap:.3f}"]) for s in every]
    title = f"## {times} times smaller ({budgets} bytes)"
    return "\n".join([title, "", *head("method", ["mean kept", "least set", "overlap@10"]), *rows])


def _budgets(sets: Sequence[Asked], times: int) -> dict[str, int]:
    return {asked.there.name: asked.there.vectors.shape[1] * 4 // times for asked in sets}


def _least(found: Summary) -> str:
    return f"{found.least:.3f} ({found.least_set})"


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
    if any(line.points for line in lines):
        draw_lines(folder / f"bytes-{name}", lines, "bytes a vector", "share of nDCG@10 kept", f"{name}, test queries")
