"""The artefact's evidence as a table like that of evaluate: held-out overlap@10 per method, encoding and dim."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from rich.table import Table

from adaptor.artefact import Adaptor
from adaptor.baselines import ADAPTOR
from jobs.reporting.table import add_measure, open_console, print_tables
from jobs.runtime.plural import plural

_METRIC = "overlap@10"


def print_evidence(adaptor: Adaptor, out: TextIO) -> None:
    """Print what the artefact says of itself; plain text when `out` is not a terminal."""
    records = [record for record in adaptor.document["evidence"] if record["metric"] == _METRIC]
    # Adaptors of older versions know float32 alone, and do not say so.
    values = {(r["method"], r["dim"], r.get("encoding", "float32")): r["value"] for r in records}
    methods = dict.fromkeys(method for method, _, encoding in values if encoding == "float32")
    encodings = dict.fromkeys(encoding for *_, encoding in values if encoding != "float32")

    def fill(table: Table, dims: Sequence[int]) -> None:
        """All methods in float32, then the adaptor's codes where they were measured."""
        add_measure(table, _METRIC, {m: [values[m, dim, "float32"] for dim in dims] for m in methods})
        for encoding in encodings:
            cells = (values.get((ADAPTOR, dim, encoding)) for dim in dims)
            table.add_row("", encoding, *("" if cell is None else f"{cell:.3f}" for cell in cells))

    queries, searched = plural(records[0]["n"], "held-out rows"), plural(records[0]["corpus"], "rows")
    console = open_console(out)
    console.print(f"{queries} as queries, {searched} searched", style="dim")
    print_tables(console, adaptor.dims, fill)
