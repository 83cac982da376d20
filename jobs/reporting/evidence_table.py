"""The artefact's evidence as a table like that of evaluate: held-out overlap@10 per method and dim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from adaptor.artefact import Adaptor
from jobs.reporting.sentences import ADAPTOR, METHOD_NAMES, METRIC_NAMES
from jobs.reporting.table import WIDTH, pages
from jobs.runtime.plural import plural

#: Columns of text of the names at the left, and of one number.
_NAMES, _NUMBER = 24, 7
_METRIC = "overlap@10"


def print_evidence(adaptor: Adaptor, out: TextIO) -> None:
    """Print what the artefact says of itself; plain text when `out` is not a terminal."""
    records = [record for record in adaptor.document["evidence"] if record["metric"] == _METRIC]
    console = Console(file=out, width=WIDTH, highlight=False)
    asked, searched = plural(records[0]["n"], "held-out rows"), plural(records[0]["corpus"], "rows")
    console.print(f"{asked} as queries, {searched} searched", style="dim")
    values = {(record["method"], record["dim"]): record["value"] for record in records}
    for dims in pages(adaptor.dims, (WIDTH - _NAMES) // _NUMBER):
        console.print(_table(values, dims))
        console.print()


def _table(values: Mapping[tuple[str, int], float], dims: Sequence[int]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False, header_style="")
    table.add_column("", no_wrap=True)
    table.add_column("dimensions", no_wrap=True, style="dim")
    for dim in dims:
        table.add_column(str(dim), justify="right", no_wrap=True)
    for place, method in enumerate(dict.fromkeys(method for method, _ in values)):
        style = "bold" if method == ADAPTOR else ""
        numbers = (Text(f"{values[method, dim]:.3f}", style) for dim in dims)
        name = Text("" if place else METRIC_NAMES[_METRIC], "bold")
        table.add_row(name, Text(METHOD_NAMES.get(method, method), style), *numbers)
    return table
