"""The estimates on the terminal: costs and measures by dim, then the answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobs.advise.answer import Told, answer, proxies, size
from jobs.reporting.sentences import ADAPTOR, METHOD_NAMES, METRIC_NAMES, main_metric
from jobs.reporting.table import WIDTH, pages
from jobs.search.methods import Column
from jobs.search.scoring import RETRIEVAL

#: Columns of text of the names at the left, and of one number.
_NAMES, _NUMBER = 25, 8
#: Measures of the table, where they were estimated; all others stand in advice.json.
_SHOWN = ("ndcg@10", "recall@100", "overlap@10", "overlap@100")


def print_advice(told: Told, facts: str, notes: Sequence[str], out: TextIO) -> None:
    """Print to `out`, at most 100 columns, plain text where it is not a terminal."""
    console = Console(file=out, width=WIDTH, highlight=False)
    console.print(facts, style="dim")
    console.print()
    for dims in pages(told.estimates.dims, (WIDTH - _NAMES) // _NUMBER):
        console.print(_table(told, dims))
        console.print()
    for place, line in enumerate(answer(told)):
        console.print(line, style="bold" if place == 0 else "")
    for line in (*proxies(told), *(f"Note: {note}" for note in notes)):
        console.print(line)


def _table(told: Told, dims: Sequence[int]) -> Table:
    prices, chosen = told.prices, told.decision.chosen.get(ADAPTOR)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False, header_style="")
    table.add_column("", no_wrap=True)
    table.add_column("dimensions", no_wrap=True, style="dim")
    for dim in dims:
        table.add_column(str(dim), justify="right", no_wrap=True, header_style="bold" if dim == chosen else "")
    now = prices.vector_bytes_now
    table.add_row(Text("Storage", "bold"), "a vector", *(f"{prices.vector_bytes(dim):,} B" for dim in dims))
    table.add_row("", "all of them", *(size(prices.total_bytes(dim)) for dim in dims))
    table.add_row("", "smaller", *(f"{now / prices.vector_bytes(dim):.3g}x" for dim in dims))
    table.add_row("Arithmetic", "less", *(f"{prices.input_dim / dim:.3g}x" for dim in dims), end_section=True)
    for metric in (metric for metric in _SHOWN if metric in told.estimates.metrics):
        _add_measure(table, told, metric, dims)
    return table


def _add_measure(table: Table, told: Told, metric: str, dims: Sequence[int]) -> None:
    """The adaptor's value and interval; what the baselines reach; for retrieval the share of the original's value."""
    estimates = told.estimates
    found = [estimates.of(Column(ADAPTOR, dim), metric) for dim in dims]
    table.add_row(Text(METRIC_NAMES[metric], "bold"), METHOD_NAMES[ADAPTOR], *(Text(f"{f.value:.3f}") for f in found))
    table.add_row("", "95% from", *(Text(f"{f.low:.3f}", "dim") for f in found))
    table.add_row("", "to", *(Text(f"{f.high:.3f}", "dim") for f in found))
    if metric in RETRIEVAL:
        shares = [estimates.of(Column(ADAPTOR, dim), metric, relative=True) for dim in dims]
        table.add_row("", "of original", *(f"{share.value:.1%}" for share in shares))
        table.add_row("", "95% from", *(Text(f"{share.low:.1%}", "dim") for share in shares))
    if metric == main_metric(estimates.metrics):
        for method in (method for method in estimates.methods if method != ADAPTOR):
            values = (estimates.of(Column(method, dim), metric).value for dim in dims)
            table.add_row("", METHOD_NAMES.get(method, method), *(f"{value:.3f}" for value in values))
    table.add_section()
