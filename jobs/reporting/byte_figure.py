"""The drawing of quality against bytes a vector."""

from __future__ import annotations

import math
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from adaptor.baselines import ORIGINAL
from jobs.reporting.byte_curves import ByteCurves, BytePoint, curve_name
from jobs.reporting.drawing import INK, LARGE, PAPER, STAND_INS, frame, inline, svg
from jobs.reporting.names import METRIC_NAMES, method_name

#: Colour and marker of each curve, and of any other.
_CURVES = {
    "truncation": ("truncation", "^"),
    "pca": ("pca", "s"),
    "float16": ("adaptor", "o"),
    "int8": ("int8", "D"),
    "uint8": ("int8", "D"),
    "int4": ("int4", "v"),
    "int2": ("int2", "P"),
    "binary": ("binary", "X"),
    "rescored": ("rescored", "*"),
}
_OTHER = ("other", "d")


def byte_figure(curves: ByteCurves) -> Markup:
    """Draw a measure against the bytes of a vector, a curve for every way to store it: an inline `<svg>`."""
    metric = METRIC_NAMES[curves.metric]

    def draw(axes: Axes) -> None:
        """Every curve against bytes, over the line of the original."""
        dashed: dict[str, Any] = {"color": INK, "linewidth": 0.9, "linestyle": (0, (4, 3)), "zorder": 1.5}
        axes.axhline(curves.original, label=method_name(ORIGINAL), **dashed)
        for name, points in curves.curves.items():
            across, line = [point.bytes for point in points], _line(name, name in curves.others)
            lows, highs = [point.ci_low for point in points], [point.ci_high for point in points]
            axes.fill_between(across, lows, highs, color=line["color"], alpha=0.06, linewidth=0)
            axes.plot(across, [point.value for point in points], **line)
        if curves.chosen is not None:
            ring: dict[str, Any] = {"marker": "o", "markersize": 12, "markerfacecolor": "none", "zorder": 5}
            axes.plot([curves.chosen.bytes], [curves.chosen.value], color=INK, markeredgewidth=1.4, **ring)
        _scale(axes, curves)
        axes.legend(loc="lower right", frameon=False, title=metric, alignment="left", ncols=2)

    return inline(svg(draw, LARGE), "bytes", f"{metric} against bytes a vector", _described(curves))


def _line(name: str, is_other: bool) -> dict[str, Any]:
    colour, marker = _CURVES.get(name, _OTHER)
    return {
        "color": STAND_INS[colour],
        "label": curve_name(name),
        "linewidth": 1.3 if is_other else 1.8,
        "linestyle": (0, (3, 1.5)) if is_other else "-",
        "marker": marker,
        "markersize": 5,
        "markeredgecolor": PAPER,
        "markeredgewidth": 0.6,
        "zorder": 3 if is_other else 4,
    }


def _scale(axes: Axes, curves: ByteCurves) -> None:
    points = [point for some in curves.curves.values() for point in some]
    first, last = min(point.bytes for point in points), max(point.bytes for point in points)
    axes.set_xscale("log", base=2)
    axes.set_xlim(first / 1.15, max(last, first + 1) * 1.15)
    powers = range(math.floor(math.log2(first)), math.ceil(math.log2(last)) + 1)
    ticks = [1 << power for power in powers if first / 1.15 <= 1 << power <= last * 1.15] or [first]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([f"{tick:,}" for tick in ticks])
    low = min(point.ci_low for point in points)
    high = max(curves.original, *(point.ci_high for point in points))
    room = 0.06 * (high - low) or 0.05
    axes.set_ylim(0 if low < 0.5 * high else low - room, high + room)
    frame(axes, "bytes a vector")


def _described(curves: ByteCurves) -> str:
    """The drawing in words, for those who do not see it."""

    def told(points: list[BytePoint]) -> str:
        """Points of one curve."""
        return ", ".join(f"{point.bytes}: {point.value:.3f}" for point in points)

    own = (f"{curve_name(name)} by bytes: {told([*points])}." for name, points in curves.curves.items())
    return " ".join([f"Full dimension: {curves.original:.3f}.", *own])
