"""Tables of the terminal: a name, a row label and a column of numbers per dim, at most 100 columns of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from adaptor.baselines import ADAPTOR
from jobs.reporting.names import METRIC_NAMES, method_name

#: Columns of text of a whole table.
TEXT_COLUMNS = 100


def new_tables(dims: Sequence[int], most: int, chosen: int | None = None) -> Iterator[tuple[Table, Sequence[int]]]:
    """Empty tables for runs of dims of nearly equal length, at most `most` each, and those dims; `chosen` is bold."""
    tables = -(-len(dims) // most)
    size = -(-len(dims) // tables)
    for start in range(0, len(dims), size):
        table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False, header_style="")
        table.add_column("", no_wrap=True)
        table.add_column("dimensions", no_wrap=True, style="dim")
        for dim in dims[start : start + size]:
            table.add_column(str(dim), justify="right", no_wrap=True, header_style="bold" if dim == chosen else "")
        yield table, dims[start : start + size]


def add_measure(table: Table, metric: str, values: Mapping[str, Sequence[float]]) -> None:
    """A row of `values` per method, the adaptor's in bold; the name of the measure stands before the first."""
    for number, (method, by_dim) in enumerate(values.items()):
        style = "bold" if method == ADAPTOR else ""
        name = Text("" if number else METRIC_NAMES[metric], "bold")
        table.add_row(name, Text(method_name(method), style), *(Text(f"{value:.3f}", style) for value in by_dim))
