"""The files that a run leaves: quality.json, comparisons.json, proxies.json, quality.md and the drawings."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.benchmarks.contest.ablation import VARIANTS
from tests.benchmarks.contest.curves import draw_proxies, draw_widths
from tests.benchmarks.contest.methods import OURS, Method
from tests.benchmarks.contest.proxies import validity
from tests.benchmarks.contest.results import SHOWN, Run, comparisons, records
from tests.benchmarks.contest.sets import ROOT, SearchSet
from tests.benchmarks.contest.short import short_table
from tests.benchmarks.contest.tables import ablation_table, comparison_table, proxy_table, table


@dataclass(frozen=True)
class Facts:
    """Sizes of a set."""

    set: str
    corpus: int
    input_dim: int
    train_queries: int
    test_queries: int
    judged: int

    @classmethod
    def of(cls, there: SearchSet) -> Self:
        """The sizes of a loaded set."""
        rows, input_dim = there.vectors.shape
        test = there.test
        return cls(there.name, rows, input_dim, len(there.labelled.queries.ids), len(test.vectors), len(test.judged))

    def size(self) -> str:
        """Name and sizes for a table."""
        return f"{self.set} ({self.corpus:,} rows, {self.test_queries:,} queries)"


def write_report(
    folder: Path, runs: Sequence[Run], facts: Sequence[Facts], methods: Mapping[str, Method], arguments: str
) -> None:
    """Write every file of the report from what is there."""
    folder.mkdir(parents=True, exist_ok=True)
    runs = list(runs)
    contest = [run for run in runs if run.method not in VARIANTS]
    compared = [row for ours in OURS if ours in methods for row in comparisons(contest, ours, _rivals(ours, methods))]
    learns = frozenset(name for name, method in methods.items() if method.labels)
    proxies = validity(contest, learns)
    write_list(folder / "quality.json", records(runs))
    write_list(folder / "comparisons.json", compared)
    write_list(folder / "proxies.json", proxies)
    parts = [
        _heading(facts, arguments),
        "## In short\n\nnDCG@10, mean over seeds; ours bold where the interval of its gain over PCA is above zero.",
        short_table(contest, {f.set: f.size() for f in facts}, compared),
        *(table(contest, metric, methods) for metric in SHOWN),
        comparison_table(compared),
        proxy_table(proxies),
        ablation_table(runs),
    ]
    (folder / "quality.md").write_text("\n\n".join(part for part in parts if part) + "\n")
    draw_widths(folder, contest, methods)
    draw_proxies(folder, contest, methods)
    print(f"written: {folder}/quality.md and what it is made of")


def _rivals(ours: str, methods: Mapping[str, Method]) -> list[str]:
    """Those that learn from no more than ours does."""
    own = methods[ours]
    return [
        name
        for name, method in methods.items()
        if name not in VARIANTS and method.labels <= own.labels and method.queries <= (own.queries or own.labels)
    ]


def write_list(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Records as JSON, one a line."""
    path.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")


def commit() -> str:
    """The commit that is checked out."""
    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return found.stdout.strip() or "unknown"


def _heading(facts: Sequence[Facts], arguments: str) -> str:
    lines = [
        "# Search quality by method and dim",
        "",
        f"`python -m tests.benchmarks.quality {arguments}` at commit {commit()}",
        "",
        "| set | rows | dimensions | train queries | test queries | judged |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {f.set} | {f.corpus:,} | {f.input_dim} | {f.train_queries:,} | {f.test_queries:,} | {f.judged:,} |"
        for f in facts
    ]
    return "\n".join(lines)
