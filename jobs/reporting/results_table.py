"""The results on the terminal: one block for the main measure with its interval, the other measures in short rows."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from adaptor.baselines import ADAPTOR
from jobs.reporting.names import METRIC_NAMES
from jobs.reporting.results import Facts, Results
from jobs.reporting.sentences import headline, verdicts
from jobs.reporting.table import TEXT_COLUMNS, add_measure, new_tables

#: Columns of text of the names at the left, and of one number; more dims take several tables.
_NAMES, _NUMBER = 31, 7


def print_results(results: Results, facts: Facts, out: TextIO) -> None:
    """Print headline, table and comparisons to `out`: at most 100 columns, plain text where it is not a terminal."""
    screen = shutil.get_terminal_size((TEXT_COLUMNS, 24)).columns if out.isatty() else TEXT_COLUMNS
    console = Console(file=out, width=min(TEXT_COLUMNS, screen), highlight=False)
    judged = "" if facts.judged is None else f" ({facts.judged:,} judged)"
    queries = "rows of the source as queries" if facts.sampled_queries else "queries"
    console.print(
        f"{facts.set}: {facts.rows:,} vectors x {facts.input_dim:,}, {facts.queries:,} {queries}{judged}, "
        f"{facts.metric}, adaptor {facts.adaptor_id[:12]}",
        style="dim",
    )
    console.print(headline(results).sentence, style="bold")
    full = results.original(results.main)
    interval = f"[{full.ci_low:.3f}, {full.ci_high:.3f}]"
    console.print(f"Full dimension ({results.input_dim:,}): {METRIC_NAMES[results.main]} {full.value:.3f} {interval}")
    console.print()
    for table, dims in new_tables(results.dims, max(1, (console.width - _NAMES) // _NUMBER)):
        _fill(table, results, dims)
        console.print(table)
        console.print()
    for sentence in verdicts(results):
        console.print(sentence)
    console.print("95% intervals over queries; better or worse = the paired interval excludes 0", style="dim")


def _fill(table: Table, results: Results, dims: Sequence[int]) -> None:
    for metric in (results.main, *(metric for metric in results.metrics if metric != results.main)):
        add_measure(table, metric, {m: [results.value(m, dim, metric) for dim in dims] for m in results.methods})
        if metric == results.main:
            for bound, label in (("ci_low", "95% from"), ("ci_high", "to")):
                values = (getattr(results.record(ADAPTOR, dim, metric), bound) for dim in dims)
                table.add_row("", label, *(Text(f"{value:.3f}", "dim") for value in values))
            table.add_section()
