"""What all drawings share: SVG with the colours and the font of the page around it.

matplotlib draws with stand-in colours; CSS variables replace them: one drawing for light and dark mode. The same
numbers give the same bytes (fixed salt, no date).
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from html import escape
from typing import Any

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

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
    "#0a0a05": "--int8",
    "#0a0a06": "--int4",
    "#0a0a07": "--int2",
    "#0a0a08": "--binary",
    "#0a0a09": "--rescored",
}
INK, MUTED, RULE, PAPER = tuple(_COLOURS)[:4]
#: Variable → stand-in colour.
STAND_INS = {variable.removeprefix("--"): colour for colour, variable in _COLOURS.items()}
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "matryoshka",
    "font.size": 8,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "text.color": INK,
}


def svg(draw: Callable[[Axes], None], inches: tuple[float, float]) -> str:
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


def frame(axes: Axes, across: str) -> None:
    """Put a few lines behind the curves, and say what is shown `across`."""
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
    axes.grid(axis="y", color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=3, width=0.6, pad=3)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_xlabel(across, labelpad=3)


def inline(drawing: str, name: str, title: str, description: str) -> Markup:
    """A part of the page made of matplotlib's file: own ids, the page's colours and font, title and description."""
    name = re.sub(r"\W+", "-", name)
    text = drawing[drawing.index("<svg") :]
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r"url\(#", f"url(#{name}-", text)
    text = re.sub(r'xlink:href="#', f'href="#{name}-', text)
    text = re.sub(r"font: ([\d.]+px) [^;\"]+", r"font: \1 var(--font)", text)
    for stand_in, variable in _COLOURS.items():
        text = text.replace(stand_in, f"var({variable})")
    view = re.search(r'viewBox="[^"]+"', text)
    head = f'<svg {view.group(0) if view else ""} role="img" aria-labelledby="{name}-title {name}-desc">'
    labels = f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(description)}</desc>'
    # The drawing is ours, and its words are escaped.
    return Markup(head + labels + text[text.index(">") + 1 :].strip())  # noqa: S704
