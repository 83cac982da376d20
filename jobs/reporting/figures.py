"""Measures against the dim, and against each other, of all methods in float32."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from adaptor.baselines import ADAPTOR
from jobs.reporting.drawing import INK, PAPER, SMALL, STAND_INS, frame, inline, svg
from jobs.reporting.names import METRIC_NAMES, method_name
from jobs.reporting.results import Results
from jobs.reporting.sentences import describe

#: Colour and marker of each method, and of any other.
_METHODS = {
    method: (STAND_INS[method], marker) for method, marker in ((ADAPTOR, "o"), ("pca", "s"), ("truncation", "^"))
}
_OTHER = (STAND_INS["other"], "D")


def curve(results: Results, metric: str, inches: tuple[float, float] = SMALL) -> Markup:
    """Draw one measure against the dim for all methods: an inline `<svg>`."""

    def draw(axes: Axes) -> None:
        """Every method against the dim."""
        if not metric.endswith("_distance"):  # the original is at distance 0 of itself: a line there says nothing
            _draw_original(axes, results, metric)
        for method in sorted(results.methods, key=lambda method: method == ADAPTOR):
            records = [results.record(method, dim, metric) for dim in results.dims]
            lows, highs = ([getattr(record, bound) for record in records] for bound in ("ci_low", "ci_high"))
            line, alpha = _line(method), 0.18 if method == ADAPTOR else 0.1
            axes.fill_between(results.dims, lows, highs, color=line["color"], alpha=alpha, linewidth=0)
            axes.plot(results.dims, [record.value for record in records], **line)
        _scale(axes, results, metric, inches[0])

    return inline(svg(draw, inches), metric, f"{METRIC_NAMES[metric]} against dim", describe(results, metric))


def scatter(results: Results, proxy: str, truth: str) -> Markup:
    """Draw a proxy (across) against a measure with judgments (up), a point per method and dim below d."""
    dims = [dim for dim in results.dims if dim < results.input_dim]
    points = {
        method: [(dim, results.value(method, dim, proxy), results.value(method, dim, truth)) for dim in dims]
        for method in results.methods
    }

    def draw(axes: Axes) -> None:
        """A point per method and dim."""
        _draw_original(axes, results, truth)
        for method in sorted(points, key=lambda method: method == ADAPTOR):
            axes.plot([x for _, x, _ in points[method]], [y for _, _, y in points[method]], **_line(method), ls="none")
        if proxy.endswith("_distance"):
            axes.invert_xaxis()  # less change is better: better is to the right in every drawing
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
        frame(axes, METRIC_NAMES[proxy].lower())

    title = f"{METRIC_NAMES[truth]} against {METRIC_NAMES[proxy]}"
    described = (f"{method_name(m)} at {dim}: {x:.3f}, {y:.3f}" for m, rows in points.items() for dim, x, y in rows)
    return inline(svg(draw, SMALL), f"proxy-{proxy}", title, "; ".join(described))


def _draw_original(axes: Axes, results: Results, metric: str) -> None:
    axes.axhline(results.original(metric).value, color=INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1.5)


def _line(method: str) -> dict[str, Any]:
    bold = method == ADAPTOR
    colour, marker = _METHODS.get(method, _OTHER)
    return {
        "color": colour,
        "label": method_name(method),
        "linewidth": 2.0 if bold else 1.3,
        "marker": marker,
        "markersize": 4.6 if bold else 4.2,
        "markeredgecolor": PAPER,
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
    values = [bound for r in results.float32 if r.metric == metric for bound in (r.ci_low, r.ci_high)]
    low, high = min(values), max(values)
    room = 0.06 * (high - low) or 0.05
    axes.set_ylim(0 if low < 0.4 * high else low - room, high + room)
    frame(axes, "dimensions kept")


def _legible(ticks: Sequence[int], spacing: float) -> set[int]:
    """Ticks with a label: from the largest down, none closer than `spacing` (powers of two) to the one before."""
    shown: list[int] = []
    for tick in reversed(ticks):
        if not shown or math.log2(shown[-1] / tick) >= spacing:
            shown.append(tick)
    return set(shown)
