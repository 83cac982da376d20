"""Measures against the dim, and against each other, as SVG with the colours and the font of the page around it.

matplotlib draws with stand-in colours; CSS variables replace them: one drawing for light and dark mode. The same
numbers give the same bytes (fixed salt, no date).
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from adaptor.baselines import ADAPTOR
from jobs.reporting.names import METRIC_NAMES, method_name
from jobs.reporting.results import Results
from jobs.reporting.sentences import describe

#: Inches of a drawing, across and up; the page takes 72 units for each.
LARGE, SMALL = (8.6, 3.7), (3.3, 2.1)
#: Stand-in colour → CSS variable.
_COLOURS = {
    "#010101": "--ink",
    "#020202": "--muted",
    "#030303": "--rule",
    "#040404": "--paper",
    "#0a0a01": "--adaptor",
    "#0a0a02": "--pca",
    "#0a0a03": "--truncation",
    "#0a0a04": "--other",
}
_INK, _MUTED, _RULE, _PAPER = tuple(_COLOURS)[:4]
#: Colour and marker of each method, and of any other.
_METHODS = {ADAPTOR: ("#0a0a01", "o"), "pca": ("#0a0a02", "s"), "truncation": ("#0a0a03", "^")}
_OTHER = ("#0a0a04", "D")
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "matryoshka",
    "font.size": 8,
    "axes.edgecolor": _RULE,
    "axes.labelcolor": _MUTED,
    "xtick.color": _RULE,
    "ytick.color": _RULE,
    "xtick.labelcolor": _MUTED,
    "ytick.labelcolor": _MUTED,
    "text.color": _INK,
}


def curve(results: Results, metric: str, inches: tuple[float, float] = SMALL, in_bytes: bool = False) -> Markup:
    """Draw one measure against the dim, or the bytes of a float32 vector, for all methods: an inline `<svg>`."""

    def draw(axes: Axes) -> None:
        if not metric.endswith("_distance"):  # the original is at distance 0 of itself: a line there says nothing
            _draw_original(axes, results, metric)
        for method in sorted(results.methods, key=lambda method: method == ADAPTOR):
            records = [results.record(method, dim, metric) for dim in results.dims]
            lows, highs = ([getattr(record, bound) for record in records] for bound in ("ci_low", "ci_high"))
            line, alpha = _line(method), 0.18 if method == ADAPTOR else 0.1
            axes.fill_between(results.dims, lows, highs, color=line["color"], alpha=alpha, linewidth=0)
            axes.plot(results.dims, [record.value for record in records], **line)
        _scale(axes, results, metric, inches[0])
        if in_bytes:
            _label_bytes(axes, METRIC_NAMES[metric])

    against = "bytes a vector" if in_bytes else "dim"
    return _inline(_svg(draw, inches), metric, f"{METRIC_NAMES[metric]} against {against}", describe(results, metric))


def scatter(results: Results, proxy: str, truth: str) -> Markup:
    """Draw a proxy (across) against a measure with judgments (up), a point per method and dim below d."""
    dims = [dim for dim in results.dims if dim < results.input_dim]
    points = {
        method: [(dim, results.value(method, dim, proxy), results.value(method, dim, truth)) for dim in dims]
        for method in results.methods
    }

    def draw(axes: Axes) -> None:
        _draw_original(axes, results, truth)
        for method in sorted(points, key=lambda method: method == ADAPTOR):
            axes.plot([x for _, x, _ in points[method]], [y for _, _, y in points[method]], **_line(method), ls="none")
        if proxy.endswith("_distance"):
            axes.invert_xaxis()  # less change is better: better is to the right in every drawing
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
        _frame(axes, METRIC_NAMES[proxy].lower())

    title = f"{METRIC_NAMES[truth]} against {METRIC_NAMES[proxy]}"
    described = (f"{method_name(m)} at {dim}: {x:.3f}, {y:.3f}" for m, rows in points.items() for dim, x, y in rows)
    return _inline(_svg(draw, SMALL), f"proxy-{proxy}", title, "; ".join(described))


def _svg(draw: Callable[[Axes], None], inches: tuple[float, float]) -> str:
    """What `draw` puts on axes in the page's style, as matplotlib writes it."""
    across, up = inches
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=inches)
        draw(figure.add_subplot())
        figure.subplots_adjust(left=0.42 / across, right=1 - 0.12 / across, bottom=0.42 / up, top=1 - 0.1 / up)
        drawing = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(drawing, format="svg", transparent=True, metadata=nothing)
    return drawing.getvalue()


def _draw_original(axes: Axes, results: Results, metric: str) -> None:
    axes.axhline(results.original(metric).value, color=_INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1.5)


def _line(method: str) -> dict[str, Any]:
    bold = method == ADAPTOR
    colour, marker = _METHODS.get(method, _OTHER)
    return {
        "color": colour,
        "label": method_name(method),
        "linewidth": 2.0 if bold else 1.3,
        "marker": marker,
        "markersize": 4.6 if bold else 4.2,
        "markeredgecolor": _PAPER,
        "markeredgewidth": 0.7,
        "zorder": 4 if bold else 3,
    }


def _scale(axes: Axes, results: Results, metric: str, inches: float) -> None:
    first, last = results.dims[0], max(results.dims[-1], results.input_dim)
    octaves = math.log2(last / first)
    margin = max(0.045 * octaves, 0.1) if octaves else 0.5
    axes.set_xscale("log", base=2)
    axes.set_xlim(first * 2**-margin, last * 2**margin)
    ticks = sorted({*results.dims, results.input_dim})
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    shown = _legible(ticks, 0.34 / (inches - 0.6) * octaves)
    axes.set_xticklabels([str(tick) if tick in shown else "" for tick in ticks])
    values = [bound for r in results.records if r.metric == metric for bound in (r.ci_low, r.ci_high)]
    low, high = min(values), max(values)
    room = 0.06 * (high - low) or 0.05
    axes.set_ylim(0 if low < 0.4 * high else low - room, high + room)
    _frame(axes, "dimensions kept")


def _label_bytes(axes: Axes, metric_name: str) -> None:
    """Make a drawing that stands alone: a legend, and bytes for the dims at the ticks."""
    dims = [label.get_text() for label in axes.get_xticklabels()]
    axes.set_xticklabels([str(4 * int(dim)) if dim else "" for dim in dims])
    axes.set_xlabel("bytes a vector (float32)")
    axes.legend(loc="lower right", frameon=False, reverse=True, title=metric_name)


def _frame(axes: Axes, across: str) -> None:
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
    axes.grid(axis="y", color=_RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=3, width=0.6, pad=3)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_xlabel(across, labelpad=3)


def _legible(ticks: Sequence[int], spacing: float) -> set[int]:
    """Ticks with a label: from the largest down, none closer than `spacing` (powers of two) to the one before."""
    shown: list[int] = []
    for tick in reversed(ticks):
        if not shown or math.log2(shown[-1] / tick) >= spacing:
            shown.append(tick)
    return set(shown)


def _inline(drawing: str, name: str, title: str, description: str) -> Markup:
    """A part of the page made of matplotlib's file: own ids, the page's colours and font, title and description."""
    name = re.sub(r"\W+", "-", name)
    svg = drawing[drawing.index("<svg") :]
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r"url\(#", f"url(#{name}-", svg)
    svg = re.sub(r'xlink:href="#', f'href="#{name}-', svg)
    svg = re.sub(r"font: ([\d.]+px) [^;\"]+", r"font: \1 var(--font)", svg)
    for stand_in, variable in _COLOURS.items():
        svg = svg.replace(stand_in, f"var({variable})")
    view = re.search(r'viewBox="[^"]+"', svg)
    head = f'<svg {view.group(0) if view else ""} role="img" aria-labelledby="{name}-title {name}-desc">'
    labels = f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(description)}</desc>'
    # The drawing is ours, and its words are escaped.
    return Markup(head + labels + svg[svg.index(">") + 1 :].strip())  # noqa: S704
