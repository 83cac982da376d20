"""The table of the README: what a user would pick instead, and ours, on every set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adaptor.baselines import ORIGINAL
from tests.benchmarks.contest.results import MAIN, Cell, Run, cells

#: Method → how the README calls it.
ROWS = {
    "truncation": "truncation",
    "pca": "PCA",
    "paper": "published recipe",
    "default": "**adaptor**",
    "default supervised": "**adaptor, with labels**",
}
_WIDTHS = (16, 32, 64, 96, 128, 192, 256, 384, 512, 768)


def short_table(runs: Sequence[Run], sizes: Mapping[str, str], compared: Sequence[Mapping[str, Any]]) -> str:
    """Markdown; ours is bold where its paired 95% interval against PCA lies above zero. `sizes` describes each set."""
    found = cells(runs, MAIN)
    dims = [dim for dim in _WIDTHS if any(w == dim for _, m, w in found if m != ORIGINAL)]
    better = {(c["set"], c["method"], c["dim"]) for c in compared if c["role"] == "pca" and c["ci_low"] > 0}
    lines = [f"| set | method | {' | '.join(map(str, dims))} |", "|---|---|" + "--:|" * len(dims)]
    for name, size in sizes.items():
        first = size
        for method, shown in ROWS.items():
            own = [found.get((name, method, dim)) for dim in dims]
            if any(own):
                numbers = [_number(cell, (name, method, w) in better) for cell, w in zip(own, dims, strict=True)]
                lines.append(f"| {first} | {shown} | {' | '.join(numbers)} |")
                first = ""
    return "\n".join(lines)


def _number(cell: Cell | None, bold: bool) -> str:
    if cell is None:
        return ""
    text = f"{cell.value:.3f}".removeprefix("0")
    return f"**{text}**" if bold else text
