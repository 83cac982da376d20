"""What the numbers say, in plain words: the same sentences stand on the terminal and in report.html."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from adaptor.baselines import ADAPTOR
from jobs.reporting.byte_curves import ByteCurves, byte_curves
from jobs.reporting.names import METRIC_NAMES, in_text, method_name
from jobs.reporting.results import Results
from jobs.search.proxies import ProxyValidity
from jobs.search.scoring import RETRIEVAL, MeasureEstimate

#: Shares of the main measure that the headline looks for: in bytes the first that is reached, in dims the last.
_GOOD_SHARES = (0.98, 0.95, 0.9)


@dataclass(frozen=True)
class Headline:
    """The sentence, what it is about (`64 bytes`), and the share of the main measure that each method keeps there, the
    best first."""

    sentence: str
    where: str
    shares: dict[str, float]


def headline(results: Results) -> Headline:
    """Speak about the fewest bytes in which the adaptor keeps 98% of the main measure (95%, 90%); without encodings
    about the smallest dim at which it keeps 90%, else the largest below d."""
    if results.original(results.main).value <= 0:
        name = METRIC_NAMES[results.main]
        return Headline(
            f"The original vectors score 0 in {name}: nothing can be compared on these judgments.", "any size", {}
        )
    return _in_bytes(results, byte_curves(results)) if results.encodings else _at_a_dim(results)


def _in_bytes(results: Results, curves: ByteCurves) -> Headline:
    now, front = results.original(results.main).bytes, curves.front
    shown = {point: round(point.value / curves.original, 2) for _, point in front}
    reaching = ((name, point) for share in _GOOD_SHARES for name, point in front if shown[point] >= share)
    encoding, point = next(reaching, front[-1])
    same_bytes = {method: curves.in_bytes(method, point.bytes) for method in curves.others}
    shares = {method: other.value / curves.original for method, other in same_bytes.items() if other is not None}
    kept = ", ".join(f"{in_text(method)} {percent(share)}" for method, share in reversed(shares.items()))
    others = f"in the same bytes as float16: {kept}" if kept else "as float16 no other method was measured so small"
    smaller = f"{now / point.bytes:.3g}x smaller than float32: {encoding} x {point.dim}"
    own = point.value / curves.original
    does = _does(results.main, own)
    sentence = f"In {point.bytes:,} bytes a vector ({smaller}) the adaptor {does}; {others}."
    return Headline(sentence, f"{point.bytes:,} bytes", _ranked({ADAPTOR: own, **shares}))


def _at_a_dim(results: Results) -> Headline:
    full = results.original(results.main).value
    short = [dim for dim in results.dims if dim < results.input_dim] or results.dims
    shares = {m: {dim: results.value(m, dim, results.main) / full for dim in short} for m in results.methods}
    dim = next((dim for dim in short if shares[ADAPTOR][dim] >= _GOOD_SHARES[-1]), short[-1])
    others = ", ".join(f"{in_text(m)} {percent(shares[m][dim])}" for m in results.methods if m != ADAPTOR)
    smaller = f" ({results.input_dim / dim:.2g}x smaller)" if dim < results.input_dim else ""
    does = _does(results.main, shares[ADAPTOR][dim])
    sentence = f"At {dim:,} of {results.input_dim:,} dimensions{smaller} the adaptor {does}; {others}."
    return Headline(sentence, f"{dim:,} dimensions", _ranked({m: shares[m][dim] for m in results.methods}))


def _does(metric: str, share: float) -> str:
    if metric in RETRIEVAL:
        return f"keeps {percent(share)} of {METRIC_NAMES[metric]}"
    return f"finds {percent(share)} of the true ten nearest neighbours"


def _ranked(shares: dict[str, float]) -> dict[str, float]:
    """The best first; where two show the same percentage, the adaptor."""
    ranked = sorted(shares, key=lambda method: (-round(shares[method], 2), method != ADAPTOR))
    return {method: shares[method] for method in ranked}


def verdicts(results: Results) -> list[str]:
    """One sentence per other method: where the adaptor is better, worse, or not clearly different (paired, 95%)."""
    sentences = []
    for method in results.methods:
        dims: dict[str, list[int]] = {"better": [], "worse": [], "no clear difference": []}
        for comparison in results.comparisons:
            if comparison.against == method:
                better, worse = comparison.ci_low > 0, comparison.ci_high < 0
                verdict = "better" if better else "worse" if worse else "no clear difference"
                dims[verdict].append(comparison.dim)
        parts = [f"{verdict} at {', '.join(map(str, at))}" for verdict, at in dims.items() if at]
        if parts:
            sentences.append(f"Against {in_text(method)}: {'; '.join(parts)}.")
    return sentences


def describe(results: Results, metric: str) -> str:
    """A chart in words, for those who do not see it."""
    lines = [f"Full dimension ({results.input_dim}): {results.original(metric).value:.3f}."]
    for method in results.methods:
        points = ", ".join(f"{dim}: {results.value(method, dim, metric):.3f}" for dim in results.dims)
        lines.append(f"{method_name(method)} by dim: {points}.")
    return " ".join(lines)


def proxy_sentence(validity: Sequence[ProxyValidity]) -> str:
    """The validity of overlap@10 in one sentence, of one set or of several."""
    own = [v for v in validity if v.proxy == "overlap@10"]
    where = "On these queries" if len({v.set for v in validity}) == 1 else f"On {len(own)} public sets with judgments"
    pairs = same_order(own)
    order = f"; of two methods at one dim it prefers the better one in {pairs} cases" if pairs else ""
    correlation = number_range([v.rank_correlation for v in own])
    return f"{where}, overlap@10 ranks methods and dims like nDCG@10 (rank correlation {correlation}){order}."


def same_order(validity: Sequence[ProxyValidity]) -> str:
    """Pairs of methods that a proxy puts in the order of nDCG@10, of all sets together; empty where there are none."""
    pairs = sum(v.pairs for v in validity)
    return f"{round(sum((v.same_order or 0.0) * v.pairs for v in validity))} of {pairs}" if pairs else ""


def number_range(numbers: Sequence[float]) -> str:
    """The least and the largest of these numbers."""
    low, high = f"{min(numbers):.2f}", f"{max(numbers):.2f}"
    return low if low == high else f"{low} to {high}"


def precise_percent(estimate: MeasureEstimate) -> str:
    """A share with its interval: `98.4% [97.1, 99.6]`."""
    value, low, high = (100 * number for number in estimate)
    return f"{value:.1f}% [{low:.1f}, {high:.1f}]"


def percent(share: float) -> str:
    """A share as whole percents; never rounded up to 100%."""
    return f"{min(round(100 * share), 99) if share < 1 else round(100 * share)}%"
