"""The estimates on the terminal: costs and measures by dim, then the answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from adaptor.baselines import ADAPTOR, Column
from jobs.advise.answer import answer, proxies, size
from jobs.advise.decision import Advice
from jobs.reporting.names import METRIC_NAMES, method_name
from jobs.reporting.results import main_metric
from jobs.reporting.table import TEXT_COLUMNS, new_tables
from jobs.search.scoring import RETRIEVAL

#: Columns of text of the names at the left, and of one number.
_NAMES, _NUMBER = 25, 8
#: Measures of the table, where they were estimated; all others stand in advice.json.
_SHOWN = ("ndcg@10", "recall@100", "overlap@10", "overlap@100")


def print_advice(advice: Advice, facts: str, notes: Sequence[str], out: TextIO) -> None:
    """Print to `out`, at most 100 columns, plain text where it is not a terminal."""
    console = Console(file=out, width=TEXT_COLUMNS, highlight=False)
    console.print(facts, style="dim")
    console.print()
    for table, dims in new_tables(advice.estimates.dims, (TEXT_COLUMNS - _NAMES) // _NUMBER, advice.dim):
        _add_costs(table, advice, dims)
        for metric in (metric for metric in _SHOWN if metric in advice.estimates.metrics):
            _add_measure(table, advice, metric, dims)
        console.print(table)
        console.print()
    for number, line in enumerate(answer(advice)):
        console.print(line, style="" if number else "bold")
    for line in (*proxies(advice), *(f"Note: {note}" for note in notes)):
        console.print(line)


def _add_costs(table: Table, advice: Advice, dims: Sequence[int]) -> None:
    costs = advice.costs
    now = costs.vector_bytes_now
    table.add_row(Text("Storage", "bold"), "a vector", *(f"{costs.vector_bytes(dim):,} B" for dim in dims))
    table.add_row("", "all of them", *(size(costs.total_bytes(dim)) for dim in dims))
    table.add_row("", "smaller", *(f"{now / costs.vector_bytes(dim):.3g}x" for dim in dims))
    table.add_row("Arithmetic", "less", *(f"{costs.input_dim / dim:.3g}x" for dim in dims), end_section=True)


def _add_measure(table: Table, advice: Advice, metric: str, dims: Sequence[int]) -> None:
    """The adaptor's value and interval; what the baselines reach; for retrieval the share of the original's value."""
    estimates = advice.estimates
    own = [estimates.of(Column(ADAPTOR, dim), metric) for dim in dims]
    table.add_row(Text(METRIC_NAMES[metric], "bold"), method_name(ADAPTOR), *(f"{e.value:.3f}" for e in own))
    table.add_row("", "95% from", *(Text(f"{e.ci_low:.3f}", "dim") for e in own))
    table.add_row("", "to", *(Text(f"{e.ci_high:.3f}", "dim") for e in own))
    if metric in RETRIEVAL:
        shares = [estimates.of(Column(ADAPTOR, dim), metric, relative=True) for dim in dims]
        table.add_row("", "of original", *(f"{share.value:.1%}" for share in shares))
        table.add_row("", "95% from", *(Text(f"{share.ci_low:.1%}", "dim") for share in shares))
    if metric == main_metric(estimates.metrics):
        for method in (method for method in estimates.methods if method != ADAPTOR):
            values = (estimates.of(Column(method, dim), metric).value for dim in dims)
            table.add_row("", method_name(method), *(f"{value:.3f}" for value in values))
    table.add_section()
