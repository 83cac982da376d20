"""The part of the report that says what label-free measures are worth: of this very run where there are judgments,
otherwise of the shipped benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from jobs.reporting.figures import scatter
from jobs.reporting.sentences import METRIC_NAMES, Results, percent
from jobs.search.proxies import PROXIES, TRUTH, ProxyValidity, benchmark, proxy_validity

#: Proxies with a drawing: those of the paper's figure, and the overlap that stands for its kind.
_DRAWN = ("overlap@10", "topk_distance", "pairwise_distance")


@dataclass(frozen=True)
class Row:
    """One proxy in the table, as text."""

    name: str
    rank: str
    linear: str
    order: str


@dataclass(frozen=True)
class ProxySection:
    """What the page shows: a sentence, a table, drawings (of this run), what overlaps kept (of the benchmark)."""

    sentence: str
    rows: Sequence[Row]
    charts: Sequence[tuple[str, str]]
    kept: Sequence[tuple[str, str, str, str]]
    source: str


def proxy_section(results: Results, size: tuple[float, float]) -> ProxySection:
    """Make the section; drawings are of `size` inches."""
    own = proxy_validity(results.records)
    shipped = benchmark()
    if own:
        # The drawing is ours and its words are escaped where they are put in.
        drawn = [(METRIC_NAMES[p], Markup(scatter(results, p, TRUTH, size))) for p in _DRAWN]  # noqa: S704
        return ProxySection(sentence(own), [_row([worth]) for worth in own], drawn, [], "")
    rows = [_row(shipped.of(proxy)) for proxy in PROXIES if shipped.of(proxy)]
    kept = [
        (f"{band.low:g} to {band.high:g}", percent(band.median), percent(band.least), str(band.columns))
        for band in reversed(shipped.kept)
    ]
    return ProxySection(sentence(shipped.worth), rows, [], kept, shipped.source)


def sentence(worth: Sequence[ProxyValidity]) -> str:
    """The worth of overlap@10 in one sentence, of one set or of several."""
    told = [w for w in worth if w.proxy == "overlap@10"]
    row = _row(told)
    where = "On these queries" if len({w.set for w in worth}) == 1 else f"On {len(told)} public sets with judgments"
    order = f"; of two methods at one dim it prefers the better one in {row.order} cases" if row.order else ""
    return f"{where}, overlap@10 ranks methods and dims like nDCG@10 (rank correlation {row.rank}){order}."


def _row(worth: Sequence[ProxyValidity]) -> Row:
    """One proxy over one set or several: the range of the correlations, and the pairs of all sets together."""
    pairs = sum(w.pairs for w in worth)
    right = round(sum((w.same_order or 0.0) * w.pairs for w in worth))
    return Row(
        METRIC_NAMES[worth[0].proxy],
        _range([w.rank_correlation for w in worth]),
        _range([w.linear_correlation for w in worth]),
        f"{right} of {pairs}" if pairs else "",
    )


def _range(numbers: Sequence[float]) -> str:
    low, high = f"{min(numbers):.2f}", f"{max(numbers):.2f}"
    return low if low == high else f"{low} to {high}"
