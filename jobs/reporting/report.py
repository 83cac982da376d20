"""report.html: one self-contained page that says what each dim keeps. The same records make the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from jobs.reporting.figures import curve
from jobs.reporting.proxies import proxy_section
from jobs.reporting.sentences import (
    METHOD_NAMES,
    METRIC_MEANINGS,
    METRIC_NAMES,
    Results,
    headline,
    percent,
    verdicts,
)
from jobs.search.methods import ORIGINAL, Column
from jobs.search.scoring import RETRIEVAL

_LARGE = (8.6, 3.7)
_SMALL = (3.3, 2.1)


@dataclass(frozen=True)
class Facts:
    """What was measured on what: shown as a strip under the headline, and needed to read the numbers."""

    set: str
    rows: int
    queries: int
    judged: int | None
    input_dim: int
    metric: str
    adaptor_id: str
    architecture: str
    sampled_queries: bool
    bootstrap: int
    notes: Sequence[str]

    def strip(self) -> list[tuple[str, str]]:
        """Label and value of each fact."""
        what = "Sampled queries (rows of the source)" if self.sampled_queries else "Queries"
        judged = [] if self.judged is None else [("Judged queries", f"{self.judged:,}")]
        return [
            ("Set", self.set),
            ("Vectors", f"{self.rows:,}"),
            (what, f"{self.queries:,}"),
            *judged,
            ("Dimensions", f"{self.input_dim:,}"),
            ("Similarity", {"cosine": "cosine", "dot": "inner product", "l2": "Euclidean"}[self.metric]),
            ("Adaptor", f"{self.adaptor_id[:12]} · {self.architecture}"),
        ]


@dataclass(frozen=True)
class Cell:
    """One number of the table."""

    value: str
    interval: str
    best: bool


@dataclass(frozen=True)
class Block:
    """The table of one measure: the full-dimension value and a row of cells per method."""

    name: str
    meaning: str
    original: Cell
    rows: Sequence[tuple[str, str, Sequence[Cell]]]


def render(facts: Facts, results: Results) -> str:
    """Make the page."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    said = headline(results)
    others = [metric for metric in results.metrics if metric != results.main]
    page = environment.get_template("report.html.j2").render(
        facts=facts,
        headline=said,
        verdicts=verdicts(results),
        kept=[(METHOD_NAMES.get(m, m), m, percent(share), min(share, 1.0) * 100) for m, share in said.shares],
        main=_chart(results, results.main, _LARGE),
        groups=[
            ("Retrieval", [_chart(results, metric, _SMALL) for metric in others if metric in RETRIEVAL]),
            ("Neighbours kept", [_chart(results, metric, _SMALL) for metric in others if metric.startswith("overlap")]),
            ("Similarities changed", [_chart(results, m, _SMALL) for m in others if m.endswith("_distance")]),
        ],
        legend=[(METHOD_NAMES.get(method, method), method) for method in (*reversed(results.methods), ORIGINAL)],
        dims=results.dims,
        input_dim=results.input_dim,
        blocks=[_block(results, metric) for metric in results.metrics],
        has_judgments=facts.judged is not None,
        worth=proxy_section(results, _SMALL),
    )
    return "\n".join(line.rstrip() for line in page.splitlines() if line.strip()) + "\n"


def _chart(results: Results, metric: str, size: tuple[float, float]) -> dict[str, str]:
    return {
        "name": METRIC_NAMES[metric],
        "meaning": METRIC_MEANINGS[metric],
        # The drawing is ours and its words are escaped where they are put in.
        "svg": Markup(curve(results, metric, size)),  # noqa: S704
    }


def _block(results: Results, metric: str) -> Block:
    best = {dim: results.best(dim, metric) for dim in results.dims}
    rows = [
        (METHOD_NAMES.get(m, m), m, [_cell(results, Column(m, w), metric, m in best[w]) for w in results.dims])
        for m in results.methods
    ]
    original = _cell(results, Column(ORIGINAL, results.input_dim), metric, False)
    return Block(METRIC_NAMES[metric], METRIC_MEANINGS[metric], original, rows)


def _cell(results: Results, column: Column, metric: str, best: bool) -> Cell:
    record = results.by_key[column, metric]
    return Cell(f"{record.value:.3f}", f"{record.ci_low:.3f} to {record.ci_high:.3f}", best)
