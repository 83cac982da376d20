"""The results on the terminal: one block for the main measure with its interval, the other measures in short rows."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobs.reporting.report import Facts
from jobs.reporting.sentences import ADAPTOR, METHOD_NAMES, METRIC_NAMES, Results, headline, verdicts
from jobs.search.methods import Column

#: Columns of text, of the names at the left of a table, and of one number; wider ladders take several tables.
WIDTH, _NAMES, _NUMBER = 100, 31, 7


def print_results(results: Results, facts: Facts, out: TextIO) -> None:
    """Print headline, table and comparisons to `out`: at most 100 columns, plain text where it is not a terminal."""
    screen = shutil.get_terminal_size((WIDTH, 24)).columns if out.isatty() else WIDTH
    console = Console(file=out, width=min(WIDTH, screen), highlight=False)
    judged = "" if facts.judged is None else f" ({facts.judged:,} judged)"
    queries = "rows of the source as queries" if facts.sampled_queries else "queries"
    console.print(
        f"{facts.set}: {facts.rows:,} vectors x {facts.input_dim:,}, {facts.queries:,} {queries}{judged}, "
        f"{facts.metric}, adaptor {facts.adaptor_id[:12]}",
        style="dim",
    )
    said = headline(results)
    console.print(said.sentence, style="bold")
    full = results.original(results.main)
    interval = f"[{full.ci_low:.3f}, {full.ci_high:.3f}]"
    console.print(f"Full dimension ({results.input_dim:,}): {METRIC_NAMES[results.main]} {full.value:.3f} {interval}")
    console.print()
    for dims in pages(results.dims, max(1, (console.width - _NAMES) // _NUMBER)):
        console.print(_table(results, dims))
        console.print()
    for sentence in verdicts(results):
        console.print(sentence)
    console.print("95% intervals over queries; better or worse = the paired interval excludes 0", style="dim")


def pages(dims: Sequence[int], most: int) -> Iterator[Sequence[int]]:
    """Cut dims into runs of nearly equal length, at most `most` each."""
    pages = -(-len(dims) // most)
    size = -(-len(dims) // pages)
    for start in range(0, len(dims), size):
        yield dims[start : start + size]


def _table(results: Results, dims: Sequence[int]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False, header_style="")
    table.add_column("", no_wrap=True)
    table.add_column("dimensions", no_wrap=True, style="dim")
    for dim in dims:
        table.add_column(str(dim), justify="right", no_wrap=True)
    for metric in (results.main, *(metric for metric in results.metrics if metric != results.main)):
        for method in results.methods:
            _add_row(table, results, (method, metric), dims)
        if metric == results.main:
            for bound, label in (("ci_low", "95% from"), ("ci_high", "to")):
                numbers = [getattr(results.by_key[Column(ADAPTOR, dim), metric], bound) for dim in dims]
                table.add_row("", label, *(Text(f"{number:.3f}", "dim") for number in numbers))
            table.add_section()
    return table


def _add_row(table: Table, results: Results, key: tuple[str, str], dims: Sequence[int]) -> None:
    method, metric = key
    style = "bold" if method == ADAPTOR else ""
    name = METRIC_NAMES[metric] if method == results.methods[0] else ""
    numbers = [Text(f"{results.value(method, dim, metric):.3f}", style) for dim in dims]
    table.add_row(Text(name, "bold"), Text(METHOD_NAMES.get(method, method), style), *numbers)
