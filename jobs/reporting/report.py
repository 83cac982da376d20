"""report.html: one self-contained page that says what each dim keeps. The same records make the same bytes."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from adaptor.baselines import ORIGINAL
from jobs.reporting.byte_curves import ByteCurves, byte_curves
from jobs.reporting.byte_figure import byte_figure
from jobs.reporting.drawing import LARGE
from jobs.reporting.figures import curve, scatter
from jobs.reporting.names import METRIC_MEANINGS, METRIC_NAMES, method_name
from jobs.reporting.results import Facts, Results
from jobs.reporting.sentences import headline, number_range, percent, proxy_sentence, same_order, verdicts
from jobs.search.proxies import PROXIES, TRUTH, benchmark, proxy_validity
from jobs.search.scoring import DISTANCES, OVERLAPS, RETRIEVAL

_GROUPS: dict[str, Collection[str]] = {
    "Retrieval": RETRIEVAL,
    "Neighbours kept": OVERLAPS,
    "Similarities changed": DISTANCES,
}
#: Proxies with a drawing: those of the paper's figure, and the overlap that stands for its kind.
_DRAWN_PROXIES = ("overlap@10", "topk_distance", "pairwise_distance")


def render(facts: Facts, results: Results) -> str:
    """Make the page."""
    own, shipped = proxy_validity(results.records), benchmark()
    validity = own or shipped.validity
    others = [metric for metric in results.metrics if metric != results.main]
    return _render(
        "report.html.j2",
        facts=facts,
        results=results,
        metric_names=METRIC_NAMES,
        meanings=METRIC_MEANINGS,
        headline=headline(results),
        verdicts=verdicts(results),
        legend=[*reversed(results.methods), ORIGINAL],
        curves=byte_curves(results),
        large=LARGE,
        groups={title: [metric for metric in others if metric in group] for title, group in _GROUPS.items()},
        proxy_sentence=proxy_sentence(validity),
        proxies=[[v for v in validity if v.proxy == proxy] for proxy in PROXIES],
        truth=TRUTH,
        drawn_proxies=_DRAWN_PROXIES if own else (),
        benchmark=None if own else shipped,
    )


def draw_byte_curves(curves: ByteCurves) -> str:
    """Draw quality.svg and advice.svg, pictures for documents: a measure against the bytes of a vector."""
    return _render("quality.svg.j2", curves=curves, large=LARGE)


def _render(template: str, **values: object) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    functions = (byte_figure, curve, method_name, number_range, percent, same_order, scatter)
    environment.globals |= {function.__name__: function for function in functions}
    text = environment.get_template(template).render(values)
    return "\n".join(line.rstrip() for line in text.splitlines() if line.strip()) + "\n"
