"""The artefact's evidence as a table like that of evaluate: held-out overlap@10 per method, encoding and dim."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from rich.table import Table

from adaptor.artefact import Adaptor
from adaptor.baselines import ADAPTOR, METHODS, Column
from jobs.reporting.names import method_name
from jobs.reporting.table import add_measure, open_console, print_tables
from jobs.runtime.plural import plural

_METRIC = "overlap@10"


def print_evidence(adaptor: Adaptor, out: TextIO) -> None:
    """Print what the artefact says of itself; plain text when `out` is not a terminal."""
    records = [record for record in adaptor.document["evidence"] if record["metric"] == _METRIC]
    values = {Column(record["method"], record["dim"], record["encoding"]): record["value"] for record in records}
    encodings = dict.fromkeys(column.encoding for column in values if column.encoding != "float32")
    queries, searched = plural(records[0]["n"], "held-out rows"), plural(records[0]["corpus"], "rows")

    def fill(table: Table, dims: Sequence[int]) -> None:
        """The methods, then the adaptor's encodings where they have codes."""
        add_measure(table, _METRIC, {m: [values[Column(m, dim)] for dim in dims] for m in METHODS})
        for encoding in encodings:
            stored = [values.get(Column(ADAPTOR, dim, encoding)) for dim in dims]
            cells = ("" if value is None else f"{value:.3f}" for value in stored)
            table.add_row("", f"{method_name(ADAPTOR)}, {encoding}", *cells)

    console = open_console(out)
    console.print(f"{queries} as queries, {searched} searched", style="dim")
    print_tables(console, adaptor.dims, fill)
