"""What the numbers say, in plain words: the answer, and what to do when there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jobs.advise.costs import Prices
from jobs.advise.decision import Check, Decision
from jobs.advise.estimates import Estimate, Estimates
from jobs.config.targets import Target
from jobs.reporting.proxies import sentence
from jobs.reporting.sentences import ADAPTOR, METRIC_NAMES, in_text, main_metric, percent
from jobs.search.methods import Column
from jobs.search.proxies import benchmark
from jobs.search.scoring import OVERLAPS

#: Shares of the main measure that are answered when no target was given.
USUAL = (0.9, 0.95, 0.98)

#: Measures that differ by less are the same to a reader.
_EQUAL = 0.0005


@dataclass(frozen=True)
class Told:
    """Everything that sentences are made of."""

    targets: Sequence[Target]
    estimates: Estimates
    prices: Prices
    decision: Decision


def answer(told: Told) -> list[str]:
    """The answer in sentences: the dim that meets the targets, or why none does; without targets the usual ones."""
    if not told.targets:
        return _usual(told)
    dim = told.decision.chosen[ADAPTOR]
    return _met(told, dim) if dim is not None else _unmet(told)


def _met(told: Told, dim: int) -> list[str]:
    prices = told.prices
    which = "Widest" if all(target.is_budget for target in told.targets) else "Smallest"
    found = "; ".join(_check(check) for check in told.decision.checks[dim])
    lines = [
        f"{which} dim that meets {_joined(told.targets)}: {dim} ({found}).",
        f"That is {prices.input_dim / dim:.3g}x less arithmetic per comparison and "
        f"{prices.vector_bytes_now / prices.vector_bytes(dim):.3g}x fewer bytes: {prices.vector_bytes(dim):,} "
        f"instead of {prices.vector_bytes_now:,} a vector, {size(prices.total_bytes(dim))} instead of "
        f"{size(prices.rows * prices.vector_bytes_now)} in all (without ids and payload).",
    ]
    if which == "Smallest":
        lines.append(f"For the same, {_others(told)}.")
    return lines


def _others(told: Told) -> str:
    """What the baselines need to meet the same targets."""
    chosen = {method: dim for method, dim in told.decision.chosen.items() if method != ADAPTOR}
    return " and ".join(
        f"{in_text(method)} needs {dim}" if dim is not None else f"no smaller dim of {in_text(method)} will do"
        for method, dim in reversed(chosen.items())
    )


def _unmet(told: Told) -> list[str]:
    lines = [f"No dim below {told.prices.input_dim} meets {_joined(told.targets)}."]
    if not told.decision.checks:
        return [*lines, "There is no smaller one to look at: give advising.dims, or fit with other adaptor.dims."]
    good: dict[Target, list[int]] = {}
    for target in told.targets:
        by_width = {w: next(c for c in checks if c.target == target) for w, checks in told.decision.checks.items()}
        good[target] = [dim for dim, check in by_width.items() if check.met]
        if not good[target]:
            closest = max(by_width, key=lambda dim: (by_width[dim].found.low, dim))
            closest = min(by_width) if target.is_budget else closest
            lines.append(f"{target}: no dim meets it; {closest} comes closest with {_check(by_width[closest])}.")
    if len(lines) > 1:
        return [*lines, "Ask for less, or fit an adaptor with other dims, with labels, or on a larger sample."]
    quality = {target: dims for target, dims in good.items() if not target.is_budget}
    if not (both := set.intersection(*map(set, quality.values()))):
        each = [f"{target} is met at {', '.join(map(str, dims))} only." for target, dims in quality.items()]
        return [*lines, *each, "Ask for less."]
    needed = min(both)
    allowed = min(max(dims) for target, dims in good.items() if target.is_budget)
    found = "; ".join(_check(check) for check in told.decision.checks[allowed] if not check.target.is_budget)
    as_float16 = f" ({2 * needed:,} as float16, advising.encoding)" if told.prices.number_bytes > 2 else ""
    return [
        *lines,
        f"The quality takes {needed} dimensions, {told.prices.vector_bytes(needed):,} bytes a vector{as_float16}; "
        f"the bytes allow {allowed}, which keep {found}.",
        "Allow more bytes or ask for less.",
    ]


def _usual(told: Told) -> list[str]:
    metric = main_metric(told.estimates.metrics)
    lines = ["No target was given (--target 'overlap@10 >= 0.9'). Smallest dim whose lower end keeps"]
    for share in USUAL:
        good = [
            dim for dim in told.estimates.dims if dim < told.prices.input_dim and _share(told, dim, metric).low >= share
        ]
        of = f"  {percent(share)} of {METRIC_NAMES[metric]}: "
        lines.append(of + (str(min(good)) if good else f"none below {told.prices.input_dim}"))
    return lines


def _share(told: Told, dim: int, metric: str) -> Estimate:
    return told.estimates.of(Column(ADAPTOR, dim), metric, relative=True)


def like_pca(told: Told) -> list[str]:
    """Where the adaptor gives what PCA gives: by design of the recipe, or because the fit found nothing better."""
    dims = [dim for dim in told.estimates.dims if dim < told.prices.input_dim]
    overlaps = [metric for metric in told.estimates.metrics if metric in OVERLAPS]
    kept = {
        method: [[told.estimates.of(Column(method, dim), metric) for metric in overlaps] for dim in dims]
        for method in (ADAPTOR, "pca")
    }
    same = [
        dim
        for dim, mine, its in zip(dims, kept[ADAPTOR], kept["pca"], strict=True)
        if all(abs(a.value - b.value) < _EQUAL for a, b in zip(mine, its, strict=True))
    ]
    if same and same == dims:
        return ["the adaptor gives what PCA gives at every dim: the fit found nothing better on held-out rows"]
    return [f"the adaptor gives what PCA gives at dim {_listed(same)}"] if same else []


def proxies(told: Told) -> list[str]:
    """What is to be thought of an answer without judgments."""
    if "ndcg@10" in told.estimates.metrics:
        return []
    lines = ["Without judgments this rests on a proxy. " + sentence(benchmark().worth)]
    dim = told.decision.chosen.get(ADAPTOR)
    kept = None if dim is None else benchmark().kept_at(told.estimates.of(Column(ADAPTOR, dim), "overlap@10").value)
    if kept is not None:
        lines.append(
            f"There, short vectors with an overlap@10 of {kept.low:g} to {kept.high:g} kept {percent(kept.median)} of "
            f"nDCG@10 in the median and {percent(kept.least)} at least ({kept.columns} cases)."
        )
    return lines


def size(count: float) -> str:
    """Bytes for reading, in decimal units."""
    for unit, factor in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= factor:
            return f"{count / factor:.3g} {unit}"
    return f"{count:.0f} bytes"


def _check(check: Check) -> str:
    if check.target.is_budget:
        return f"{check.found.value:,.0f} bytes" if check.target.name == "bytes" else size(check.found.value)
    found = check.found
    of = " of original" if check.target.relative else ""
    return f"{METRIC_NAMES[check.target.name]} {found.value:.3f} [{found.low:.3f}, {found.high:.3f}]{of}"


def _joined(targets: Sequence[Target]) -> str:
    return " and ".join(map(str, targets))


def _listed(dims: Sequence[int]) -> str:
    return ", ".join(str(dim) for dim in dims)
