"""The results on the terminal: one block for the main measure with its interval, the other measures in short rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from rich.table import Table

from adaptor.baselines import ADAPTOR
from jobs.reporting.names import METRIC_NAMES
from jobs.reporting.results import Facts, Results
from jobs.reporting.sentences import headline, verdicts
from jobs.reporting.table import add_measure, add_numbers, open_console, print_tables


def print_results(results: Results, facts: Facts, out: TextIO) -> None:
    """Print headline, table and comparisons to `out`: at most 100 columns, plain text where it is not a terminal."""
    judged = "" if facts.judged_queries is None else f" ({facts.judged_queries:,} judged)"
    queries = "rows of the source as queries" if facts.sampled_queries else "queries"
    full = results.original(results.main)
    console = open_console(out)
    console.print(
        f"{facts.set}: {facts.rows:,} vectors x {facts.input_dim:,}, {facts.queries:,} {queries}{judged}, "
        f"{facts.metric}, adaptor {facts.adaptor_id[:12]}",
        style="dim",
    )
    console.print(headline(results).sentence, style="bold")
    console.print(
        f"Full dimension ({results.input_dim:,}): {METRIC_NAMES[results.main]} {full.value:.3f} "
        f"[{full.ci_low:.3f}, {full.ci_high:.3f}]\n"
    )
    print_tables(console, results.dims, lambda table, dims: _fill(table, results, dims))
    for sentence in verdicts(results):
        console.print(sentence)
    console.print("95% intervals over queries; better or worse = the paired interval excludes 0", style="dim")


def _fill(table: Table, results: Results, dims: Sequence[int]) -> None:
    for metric in (results.main, *(metric for metric in results.metrics if metric != results.main)):
        add_measure(table, metric, {m: [results.value(m, dim, metric) for dim in dims] for m in results.methods})
        if metric == results.main:
            records = [results.record(ADAPTOR, dim, metric) for dim in dims]
            add_numbers(table, "95% from", (record.ci_low for record in records), style="dim")
            add_numbers(table, "to", (record.ci_high for record in records), style="dim")
            table.add_section()
