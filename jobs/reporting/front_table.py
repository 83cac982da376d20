"""Quality against bytes on the terminal: a row for each point of the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class FrontRow:
    """Bytes of a vector, how often they go into those of today, what is stored, and further cells."""

    bytes: int
    smaller: float
    name: str
    cells: Sequence[str]
    chosen: bool = False


def print_front(console: Console, headings: Sequence[str], rows: Sequence[FrontRow]) -> None:
    """Print the rows, the chosen one in bold; `headings` are those of the further cells."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False, header_style="")
    table.add_column("bytes", justify="right", no_wrap=True)
    table.add_column("smaller", justify="right", no_wrap=True)
    table.add_column("stored as", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        cells = (f"{row.bytes:,}", f"{row.smaller:.3g}x", row.name, *row.cells)
        table.add_row(*cells, style="bold" if row.chosen else "")
    console.print(table)
    console.print()
