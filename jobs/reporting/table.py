"""Tables of the terminal: a name, a row label and a column of numbers per dim."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from adaptor.baselines import ADAPTOR
from jobs.reporting.names import METRIC_NAMES, method_name

#: Most columns of text, those of the names at the left, and those of one number.
_TEXT, _NAMES, _NUMBER = 100, 31, 7


def open_console(out: TextIO) -> Console:
    """A console of at most 100 columns; plain text where `out` is no terminal."""
    screen = shutil.get_terminal_size((_TEXT, 24)).columns if out.isatty() else _TEXT
    return Console(file=out, width=min(_TEXT, screen), highlight=False, markup=False, emoji=False)


def print_tables(
    console: Console, dims: Sequence[int], fill: Callable[[Table, Sequence[int]], None], chosen: int | None = None
) -> None:
    """Print a table for each run of dims that fits the console; `fill` adds its rows, the `chosen` dim is bold."""
    tables = -(-len(dims) // max(1, (console.width - _NAMES) // _NUMBER))
    size = -(-len(dims) // tables)
    for start in range(0, len(dims), size):
        run = dims[start : start + size]
        table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False, header_style="")
        table.add_column("", no_wrap=True, style="bold")
        table.add_column("dimensions", no_wrap=True, style="dim")
        for dim in run:
            table.add_column(str(dim), justify="right", no_wrap=True, header_style="bold" if dim == chosen else "")
        fill(table, run)
        console.print(table)
        console.print()


def add_numbers(
    table: Table, label: str, numbers: Iterable[float], *, name: str = "", style: str = "", form: str = ".3f"
) -> None:
    """Add a row of numbers, formatted by `form`; `name` stands before the label."""
    table.add_row(name, Text(label, style), *(Text(format(number, form), style) for number in numbers))


def add_measure(table: Table, metric: str, values: Mapping[str, Sequence[float]]) -> None:
    """Add a row of `values` per method, the adaptor's in bold; the name of the measure stands before the first."""
    for number, (method, of_method) in enumerate(values.items()):
        name, style = "" if number else METRIC_NAMES[metric], "bold" if method == ADAPTOR else ""
        add_numbers(table, method_name(method), of_method, name=name, style=style)
