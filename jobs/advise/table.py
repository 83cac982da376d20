"""The estimates on the terminal: costs and measures by dim, then the answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from rich.table import Table

from adaptor.baselines import ADAPTOR, Column
from jobs.advise.answer import answer, proxies
from jobs.advise.decision import Advice
from jobs.reporting.names import METRIC_NAMES, method_name
from jobs.reporting.results import main_metric
from jobs.reporting.table import add_numbers, open_console, print_tables
from jobs.runtime.units import size
from jobs.search.scoring import RETRIEVAL

#: Measures of the table, where they were estimated; all others stand in advice.json.
_SHOWN = ("ndcg@10", "recall@100", "overlap@10", "overlap@100")


def print_advice(advice: Advice, facts: str, notes: Sequence[str], out: TextIO) -> None:
    """Print to `out`, at most 100 columns, plain text where it is not a terminal."""

    def fill(table: Table, dims: Sequence[int]) -> None:
        """Costs, then the measures."""
        _add_costs(table, advice, dims)
        for metric in _SHOWN:
            if metric in advice.estimates.metrics:
                _add_measure(table, advice, metric, dims)

    console = open_console(out)
    console.print(f"{facts}\n", style="dim")
    print_tables(console, advice.estimates.dims, fill, advice.dim)
    for number, line in enumerate(answer(advice)):
        console.print(line, style="" if number else "bold")
    for line in (*proxies(advice), *(f"Note: {note}" for note in notes)):
        console.print(line)


def _add_costs(table: Table, advice: Advice, dims: Sequence[int]) -> None:
    costs = advice.costs
    now = costs.vector_bytes_now
    table.add_row("Storage", "a vector", *(f"{costs.vector_bytes(dim):,} B" for dim in dims))
    table.add_row("", "all of them", *(size(costs.total_bytes(dim)) for dim in dims))
    table.add_row("", "smaller", *(f"{now / costs.vector_bytes(dim):.3g}x" for dim in dims))
    table.add_row("Arithmetic", "less", *(f"{costs.input_dim / dim:.3g}x" for dim in dims), end_section=True)


def _add_measure(table: Table, advice: Advice, metric: str, dims: Sequence[int]) -> None:
    """The adaptor's value and interval; what the baselines reach; for retrieval the share of the original's value."""
    estimates = advice.estimates
    own = [estimates.of(Column(ADAPTOR, dim), metric) for dim in dims]
    add_numbers(table, method_name(ADAPTOR), (estimate.value for estimate in own), name=METRIC_NAMES[metric])
    add_numbers(table, "95% from", (estimate.ci_low for estimate in own), style="dim")
    add_numbers(table, "to", (estimate.ci_high for estimate in own), style="dim")
    if metric in RETRIEVAL:
        shares = [estimates.of(Column(ADAPTOR, dim), metric, relative=True) for dim in dims]
        add_numbers(table, "of original", (share.value for share in shares), form=".1%")
        add_numbers(table, "95% from", (share.ci_low for share in shares), style="dim", form=".1%")
    if metric == main_metric(estimates.metrics):
        for method in (method for method in estimates.methods if method != ADAPTOR):
            values = (estimates.of(Column(method, dim), metric).value for dim in dims)
            add_numbers(table, method_name(method), values)
    table.add_section()
