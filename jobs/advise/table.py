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
from jobs.reporting.names import METRIC_NAMES, method_name
from jobs.reporting.sentences import precise_percent
from jobs.reporting.table import open_console, print_tables
from jobs.runtime.units import size

#: Share of the main measure below which a point of the front is not worth a row.
_LEAST_SHARE = 0.5


def print_advice(advice: Advice, facts: str, notes: Sequence[str], out: TextIO) -> None:
    """Print to `out`, at most 100 columns, plain text where it is not a terminal."""
    console = open_console(out)
    console.print(f"{facts}\n", style="dim")
    others = [method for method in advice.candidates if method != ADAPTOR]
    floats = {c.encoding for method in others for c in advice.candidates[method]}
    in_floats = f" ({', '.join(sorted(floats))})" if floats else ""
    front = [c for c in advice.front if c == advice.choice or advice.share(c).value >= _LEAST_SHARE]
    if shown := front or advice.front[-1:]:
        name = METRIC_NAMES[advice.main]
        console.print(f"Share of {name} kept against bytes a vector; {_names(others)} in the same bytes{in_floats}")
        headings = ["in all", f"{name} kept", *map(method_name, others)]
        print_front(console, headings, [_front_row(advice, c, others) for c in with_choice(shown, advice.choice)])
    dims = sorted({candidate.dim for some in advice.candidates.values() for candidate in some})
    if dims:
        console.print(f"Share of {METRIC_NAMES[advice.main]} kept by dim and encoding")
        chosen = advice.choice.dim if advice.choice else None
        print_tables(console, dims, lambda table, run: _fill(table, advice, run), chosen)
    for number, line in enumerate(answer(advice)):
        console.print(line, style="" if number else "bold")
    for line in (*proxies(advice), *(f"Note: {note}" for note in notes)):
        console.print(line)


def with_choice(front: Sequence[Candidate], choice: Candidate | None) -> list[Candidate]:
    """The front and the choice, by bytes: an equally good value may have hidden that from the front."""
    return sorted({*front, *([choice] if choice else [])}, key=lambda candidate: candidate.bytes)


def _names(methods: Sequence[str]) -> str:
    return " and ".join(map(method_name, methods))


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
