"""The artefact's evidence as a table: held-out overlap@10 per method and width."""

from __future__ import annotations

from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from adaptor.artefact import Adaptor


def print_evidence(adaptor: Adaptor, out: TextIO) -> None:
    """Print what the artefact says of itself; plain text when `out` is not a terminal."""
    records = [r for r in adaptor.document["evidence"] if r["metric"] == "overlap@10"]
    out.write(f"overlap@10 with the exact full-width neighbours, {records[0]['n']:,} held-out rows\n")
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("width", justify="right")
    methods = list(dict.fromkeys(r["method"] for r in records))
    for method in methods:
        table.add_column(method, justify="right")
    values = {(r["method"], r["width"]): r["value"] for r in records}
    for width in adaptor.widths:
        table.add_row(str(width), *(f"{values[method, width]:.3f}" for method in methods))
    Console(file=out, width=100).print(table)
