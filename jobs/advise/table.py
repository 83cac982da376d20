"""The estimates on the terminal: the Pareto front, the main measure by dim and encoding, then the answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from rich.table import Table

from adaptor.baselines import ADAPTOR
from jobs.advise.answer import answer, proxies
from jobs.advise.candidates import Candidate
from jobs.advise.decision import Advice
from jobs.config.targets import Target
from jobs.reporting.front_table import FrontRow, print_front
from jobs.reporting.names import METRIC_NAMES, in_text, method_name
from jobs.reporting.sentences import precise_percent
from jobs.reporting.table import open_console, print_tables
from jobs.runtime.units import size

#: Share of the main measure below which a point of the front is not worth a row.
_LEAST_SHARE = 0.5
#: What a row must keep more than the one before.
_LEAST_GAIN = 0.003


def print_advice(advice: Advice, facts: str, notes: Sequence[str], out: TextIO) -> None:
    """Print to `out`, at most 100 columns, plain text where it is not a terminal."""
    console = open_console(out)
    console.print(f"{facts}\n", style="dim")
    name = METRIC_NAMES[advice.main]
    if front := worth_a_row(advice):
        others = [method for method in advice.candidates if method != ADAPTOR]
        floats = ", ".join(sorted({c.encoding for method in others for c in advice.candidates[method]}))
        told = f"{' and '.join(map(in_text, others))} as {floats} in the same bytes"
        console.print(f"Share of {name} kept, by bytes a vector; {told}")
        headings = ["in all", f"{name} kept", *map(method_name, others)]
        print_front(console, headings, [_front_row(advice, candidate, others) for candidate in front])
    dims = sorted({candidate.dim for some in advice.candidates.values() for candidate in some})
    if dims:
        console.print(f"Share of {name} kept, by dim and encoding")
        chosen = advice.choice.dim if advice.choice else None
        print_tables(console, dims, lambda table, run: _fill(table, advice, run), chosen)
    for number, line in enumerate(answer(advice)):
        console.print(line, style="" if number else "bold")
    for line in (*proxies(advice), *(f"Note: {note}" for note in notes)):
        console.print(line)


def worth_a_row(advice: Advice) -> list[Candidate]:
    """The choice, and of the front what keeps half of the measure, and more than the row before; at least the last."""
    rows: list[Candidate] = []
    for candidate in advice.front:
        least = advice.share(rows[-1]).value + _LEAST_GAIN if rows else _LEAST_SHARE
        if advice.share(candidate).value >= least:
            rows.append(candidate)
    # An equally good value of fewer bytes may hide the choice from the front.
    chosen = [advice.choice] if advice.choice else []
    return sorted({*(rows or advice.front[-1:]), *chosen}, key=lambda candidate: candidate.bytes)


def _front_row(advice: Advice, candidate: Candidate, others: Sequence[str]) -> FrontRow:
    same_bytes = (Target("bytes", candidate.bytes),)
    kept = [advice.choose(same_bytes, method) for method in others]
    return FrontRow(
        bytes=candidate.bytes,
        smaller=advice.costs.vector_bytes_now / candidate.bytes,
        name=str(candidate),
        cells=[
            size(advice.costs.total_bytes(candidate)),
            precise_percent(advice.share(candidate)),
            *("" if other is None else f"{advice.share(other).value:.1%}" for other in kept),
        ],
        chosen=candidate == advice.choice,
    )


def _fill(table: Table, advice: Advice, dims: Sequence[int]) -> None:
    """A row for every encoding of the adaptor that is stored once, then one for every other method."""
    rows: dict[tuple[str, str], dict[int, Candidate]] = {}
    for method, some in advice.candidates.items():
        for candidate in some:
            if candidate.rescored_by is None:
                name = candidate.column.encoding if method == ADAPTOR else candidate.encoding
                rows.setdefault((method, name), {})[candidate.dim] = candidate
    if (ADAPTOR, "float16") in rows:
        rows.pop((ADAPTOR, "float32"), None)  # the same quality in twice the bytes
    previous = ""
    for (method, name), by_dim in sorted(rows.items(), key=lambda row: (row[0][0] != ADAPTOR, -_bytes(row[1]))):
        cells = [f"{advice.share(by_dim[dim]).value:.1%}" if dim in by_dim else "" for dim in dims]
        table.add_row("" if method == previous else method_name(method), name, *cells)
        previous = method


def _bytes(by_dim: dict[int, Candidate]) -> float:
    """Bytes of a number."""
    return max(candidate.bytes / candidate.dim for candidate in by_dim.values())
