"""The results as drawings, SVG and PNG: nDCG@10 against the dim per set, and every proxy against nDCG@10."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from jobs.search.proxies import PROXIES
from tests.benchmarks.contest.methods import OURS, Method
from tests.benchmarks.contest.proxies import points
from tests.benchmarks.contest.results import MAIN, Run, cells

_STYLE: dict[Any, Any] = {"svg.hashsalt": "matryoshka", "svg.fonttype": "none", "font.size": 8}
_MARKERS = "osv^<>DPX*pdh8"


class Line(NamedTuple):
    """One curve: (x, value, spread) by rising x. Ours are thick; dashed ones learn from labels."""

    label: str
    points: Sequence[tuple[int, float, float]]
    ours: bool = False
    dashed: bool = False


def draw_widths(folder: Path, runs: Sequence[Run], methods: Mapping[str, Method]) -> list[Path]:
    """One drawing per set: nDCG@10 against the dim, ours thick, methods that learn from labels dashed."""
    found = cells(runs, MAIN)
    made = []
    for name in dict.fromkeys(run.set for run in runs):
        dims = sorted({w for n, _, w in found if n == name})
        lines = []
        for method, contestant in methods.items():
            own = [(w, found[name, method, w]) for w in dims if (name, method, w) in found]
            points = [(w, cell.value, cell.spread) for w, cell in own]
            lines.append(Line(method, points, method in OURS, contestant.labels))
        made += draw_lines(folder / f"dims-{name}", lines, "dimensions", MAIN, f"{name}, test queries")
    return made


def draw_lines(path: Path, lines: Sequence[Line], xlabel: str, ylabel: str, title: str) -> list[Path]:
    """Curves over a logarithmic axis, with a tick at every x that occurs; a line keeps its colour if others are
    empty."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(8, 5), layout="constrained")
        axes = figure.add_subplot()
        for number, line in enumerate(lines):
            if line.points:
                x, values, spreads = zip(*line.points, strict=True)
                axes.errorbar(
                    x,
                    values,
                    spreads,
                    label=line.label,
                    color=matplotlib.colormaps["tab20"](number % 20),
                    marker=_MARKERS[number % len(_MARKERS)],
                    markersize=4,
                    linewidth=2.4 if line.ours else 1,
                    linestyle="--" if line.dashed else "-",
                    zorder=3 if line.ours else 2,
                )
        axes.set(xscale="log", xlabel=xlabel, ylabel=ylabel, title=title)
        axes.xaxis.set_major_locator(FixedLocator(sorted({x for line in lines for x, _, _ in line.points})))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter("{x:.0f}")
        axes.tick_params(axis="x", labelrotation=60)
        axes.grid(alpha=0.3)
        figure.legend(loc="outside right center", fontsize=7)
        return _save(figure, path)


def draw_proxies(folder: Path, runs: Sequence[Run], methods: Mapping[str, Method]) -> list[Path]:
    """Every proxy against nDCG@10 as a share of the full dimension's; hollow where a method learns from labels."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(3 * len(PROXIES), 3.2), layout="constrained")
        for place, (proxy, axes) in enumerate(zip(PROXIES, figure.subplots(1, len(PROXIES), sharey=True), strict=True)):
            found = points(runs, proxy)
            for number, name in enumerate(dict.fromkeys(p.set for p in found)):
                for labels in (False, True):
                    own = [p for p in found if p.set == name and methods[p.method].labels is labels]
                    colour = matplotlib.colormaps["tab10"](number)
                    axes.scatter(
                        [p.proxy for p in own],
                        [p.ndcg for p in own],
                        s=12,
                        facecolors="none" if labels else colour,
                        edgecolors=colour,
                        linewidths=0.7,
                        label=f"{name}, with labels" if labels else name,
                    )
            axes.set(xlabel=proxy, ylabel="nDCG@10 / that of the full dimension" if place == 0 else "")
            axes.grid(alpha=0.3)
        handles, labels_shown = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels_shown, loc="outside right center")
        return _save(figure, folder / "proxies")


def _save(figure: Figure, path: Path) -> list[Path]:
    figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})
    figure.savefig(path.with_suffix(".png"), dpi=150)
    return [path.with_suffix(".svg"), path.with_suffix(".png")]
