"""The artefact's evidence as a table like that of evaluate: held-out overlap@10 per method and dim."""

from __future__ import annotations

from typing import TextIO

from rich.console import Console

from adaptor.artefact import Adaptor
from jobs.reporting.table import TEXT_COLUMNS, add_measure, new_tables
from jobs.runtime.plural import plural

#: Columns of text of the names at the left, and of one number.
_NAMES, _NUMBER = 24, 7
_METRIC = "overlap@10"


def print_evidence(adaptor: Adaptor, out: TextIO) -> None:
    """Print what the artefact says of itself; plain text when `out` is not a terminal."""
    records = [record for record in adaptor.document["evidence"] if record["metric"] == _METRIC]
    console = Console(file=out, width=TEXT_COLUMNS, highlight=False)
    queries, searched = plural(records[0]["n"], "held-out rows"), plural(records[0]["corpus"], "rows")
    console.print(f"{queries} as queries, {searched} searched", style="dim")
    values = {(record["method"], record["dim"]): record["value"] for record in records}
    for table, dims in new_tables(adaptor.dims, (TEXT_COLUMNS - _NAMES) // _NUMBER):
        methods = dict.fromkeys(method for method, _ in values)
        add_measure(table, _METRIC, {method: [values[method, dim] for dim in dims] for method in methods})
        console.print(table)
        console.print()
