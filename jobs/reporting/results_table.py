"""The results on the terminal: one block for the main measure with its interval, the other measures in short rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from rich.console import Console
from rich.table import Table

from adaptor.baselines import ADAPTOR
from jobs.reporting.byte_curves import byte_curves
from jobs.reporting.front_table import FrontRow, print_front
from jobs.reporting.names import METRIC_NAMES, in_text, method_name
from jobs.reporting.results import Facts, Results
from jobs.reporting.sentences import headline, percent, verdicts
from jobs.reporting.table import add_measure, add_numbers, open_console, print_tables

#: Share of the main measure below which a point of the front is not worth a row.
_LEAST_SHARE = 0.5


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
    if results.encodings:
        _print_bytes(console, results)
    console.print("95% intervals over queries; better or worse = the paired interval excludes 0", style="dim")


def _print_bytes(console: Console, results: Results) -> None:
    """The Pareto front of quality against bytes, and what the other methods keep in the same bytes."""
    curves, now = byte_curves(results), results.original(results.main).bytes
    whole = curves.original or 1.0
    good = [(name, point) for name, point in curves.front if point.value >= _LEAST_SHARE * whole]
    rows = []
    for name, point in good or curves.front[-1:]:
        others = (curves.in_bytes(method, point.bytes) for method in curves.others)
        cells = [
            f"{point.value:.3f} [{point.ci_low:.3f}, {point.ci_high:.3f}]",
            percent(point.value / whole),
            *("" if other is None else percent(other.value / whole) for other in others),
        ]
        rows.append(FrontRow(point.bytes, now / point.bytes, f"{name} x {point.dim}", cells))
    names = map(method_name, curves.others)
    console.print(f"\nIn bytes a vector; {' and '.join(map(in_text, curves.others))} as float16 in the same bytes")
    print_front(console, [METRIC_NAMES[results.main], "kept", *names], rows)


def _fill(table: Table, results: Results, dims: Sequence[int]) -> None:
    for metric in (results.main, *(metric for metric in results.metrics if metric != results.main)):
        add_measure(table, metric, {m: [results.value(m, dim, metric) for dim in dims] for m in results.methods})
        if metric == results.main:
            records = [results.record(ADAPTOR, dim, metric) for dim in dims]
            add_numbers(table, "95% from", (record.ci_low for record in records), style="dim")
            add_numbers(table, "to", (record.ci_high for record in records), style="dim")
            table.add_section()
