"""report.html: one self-contained page that says what each dim keeps. The same records make the same bytes."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from adaptor.baselines import ORIGINAL
from jobs.reporting.figures import curve, scatter
from jobs.reporting.names import METRIC_MEANINGS, METRIC_NAMES, method_name
from jobs.reporting.results import Facts, Results
from jobs.reporting.sentences import headline, number_range, percent, proxy_sentence, same_order, verdicts
from jobs.search.proxies import PROXIES, TRUTH, benchmark, proxy_validity
from jobs.search.scoring import DISTANCES, OVERLAPS, RETRIEVAL

#: Inches of a drawing.
_LARGE, _SMALL = (8.6, 3.7), (3.3, 2.1)
#: Proxies with a drawing: those of the paper's figure, and the overlap that stands for its kind.
_DRAWN_PROXIES = ("overlap@10", "topk_distance", "pairwise_distance")
_SIMILARITIES = {"cosine": "cosine", "dot": "inner product", "l2": "Euclidean"}


def render(facts: Facts, results: Results) -> str:
    """Make the page."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    words = (method_name, number_range, percent, same_order)
    environment.globals |= {word.__name__: word for word in words} | {"metric_names": METRIC_NAMES}
    validity, shipped = proxy_validity(results.records), benchmark()
    page = environment.get_template("report.html.j2").render(
        facts=facts,
        facts_strip=_strip(facts),
        results=results,
        headline=headline(results),
        verdicts=verdicts(results),
        legend=[*reversed(results.methods), ORIGINAL],
        meanings=METRIC_MEANINGS,
        main_curve=curve(results, results.main, _LARGE),
        groups=[
            ("Retrieval", _curves(results, RETRIEVAL)),
            ("Neighbours kept", _curves(results, OVERLAPS)),
            ("Similarities changed", _curves(results, DISTANCES)),
        ],
        proxy_sentence=proxy_sentence(validity or shipped.validity),
        proxies=[[v for v in validity or shipped.validity if v.proxy == proxy] for proxy in PROXIES],
        scatters=[
            (METRIC_NAMES[proxy], scatter(results, proxy, TRUTH, _SMALL)) for proxy in _DRAWN_PROXIES if validity
        ],
        benchmark=None if validity else shipped,
    )
    return "\n".join(line.rstrip() for line in page.splitlines() if line.strip()) + "\n"


def _strip(facts: Facts) -> list[tuple[str, str]]:
    """Label and value of each fact below the headline."""
    judged = [] if facts.judged is None else [("Judged queries", f"{facts.judged:,}")]
    return [
        ("Set", facts.set),
        ("Vectors", f"{facts.rows:,}"),
        ("Sampled queries (rows of the source)" if facts.sampled_queries else "Queries", f"{facts.queries:,}"),
        *judged,
        ("Dimensions", f"{facts.input_dim:,}"),
        ("Similarity", _SIMILARITIES[facts.metric]),
        ("Adaptor", f"{facts.adaptor_id[:12]} · {facts.architecture}"),
    ]


def _curves(results: Results, metrics: Collection[str]) -> list[tuple[str, Markup]]:
    """The measures of a group but the main one, each with its drawing."""
    return [(m, curve(results, m, _SMALL)) for m in results.metrics if m in metrics and m != results.main]
