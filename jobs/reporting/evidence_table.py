"""The artefact's evidence as a table like that of evaluate: held-out overlap@10 per method and dim."""

from __future__ import annotations

from typing import TextIO

from adaptor.artefact import Adaptor
from jobs.reporting.table import add_measure, open_console, print_tables
from jobs.runtime.plural import plural

_METRIC = "overlap@10"


def print_evidence(adaptor: Adaptor, out: TextIO) -> None:
    """Print what the artefact says of itself; plain text when `out` is not a terminal."""
    records = [record for record in adaptor.document["evidence"] if record["metric"] == _METRIC]
    values = {(record["method"], record["dim"]): record["value"] for record in records}
    methods = dict.fromkeys(record["method"] for record in records)
    queries, searched = plural(records[0]["n"], "held-out rows"), plural(records[0]["corpus"], "rows")
    console = open_console(out)
    console.print(f"{queries} as queries, {searched} searched", style="dim")
    print_tables(
        console,
        adaptor.dims,
        lambda table, dims: add_measure(table, _METRIC, {m: [values[m, dim] for dim in dims] for m in methods}),
    )
