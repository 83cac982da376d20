"""The answer in plain words, and what to do when there is none."""

from __future__ import annotations

from collections.abc import Iterable

from adaptor.baselines import ADAPTOR, Column
from jobs.advise.decision import Advice, TargetCheck
from jobs.reporting.names import METRIC_NAMES, in_text
from jobs.reporting.results import main_metric
from jobs.reporting.sentences import percent, proxy_sentence
from jobs.runtime.units import size
from jobs.search.proxies import benchmark

#: Shares of the main measure that are answered when no target was given.
_USUAL_SHARES = (0.9, 0.95, 0.98)


def answer(advice: Advice) -> list[str]:
    """The dim that meets the targets, or why none does; without targets the dims that meet usual ones."""
    if not advice.targets:
        return _usual(advice)
    return _met(advice, advice.dim) if advice.dim is not None else _unmet(advice)


def _met(advice: Advice, dim: int) -> list[str]:
    costs, demands = advice.costs, " and ".join(map(str, advice.targets))
    only_budgets = all(target.is_budget for target in advice.targets)
    lines = [
        f"{'Largest' if only_budgets else 'Smallest'} dim that meets {demands}: {dim} ({_checks(advice.checks[dim])}).",
        f"That is {costs.input_dim / dim:.3g}x less arithmetic per comparison and "
        f"{costs.vector_bytes_now / costs.vector_bytes(dim):.3g}x fewer bytes: {costs.vector_bytes(dim):,} "
        f"instead of {costs.vector_bytes_now:,} a vector, {size(costs.total_bytes(dim))} instead of "
        f"{size(costs.rows * costs.vector_bytes_now)} in all (without ids and payload).",
    ]
    return lines if only_budgets else [*lines, f"For the same, {_others(advice)}."]


def _others(advice: Advice) -> str:
    """What the baselines need to meet the same targets."""
    return " and ".join(
        f"{in_text(method)} needs {dim}" if dim is not None else f"no smaller dim of {in_text(method)} will do"
        for method, dim in reversed(advice.chosen.items())
        if method != ADAPTOR
    )


def _unmet(advice: Advice) -> list[str]:
    lines = [f"No dim below {advice.costs.input_dim} meets {' and '.join(map(str, advice.targets))}."]
    if not advice.checks:
        return [*lines, "There is no smaller one to look at: give advising.dims, or fit with other adaptor.dims."]
    checks = {
        target: {dim: at_dim[number] for dim, at_dim in advice.checks.items()}
        for number, target in enumerate(advice.targets)
    }
    good = {target: [dim for dim, check in by_dim.items() if check.met] for target, by_dim in checks.items()}
    for target, by_dim in checks.items():
        if not good[target]:
            closest = max(by_dim, key=lambda dim: (by_dim[dim].estimate.ci_low, dim))
            closest = min(by_dim) if target.is_budget else closest
            lines.append(f"{target}: no dim meets it; {closest} comes closest with {_checks([by_dim[closest]])}.")
    if len(lines) > 1:
        return [*lines, "Ask for less, or fit an adaptor with other dims, with labels, or on a larger sample."]
    quality = {target: dims for target, dims in good.items() if not target.is_budget}
    if not (good_quality := set.intersection(*map(set, quality.values()))):
        each = [f"{target} is met at {', '.join(map(str, dims))} only." for target, dims in quality.items()]
        return [*lines, *each, "Ask for less."]
    allowed = min(max(dims) for target, dims in good.items() if target.is_budget)
    return [
        *lines,
        _too_few_bytes(advice, min(good_quality), allowed),
        "Allow more bytes, take a smaller advising.encoding, or ask for less.",
    ]


def _too_few_bytes(advice: Advice, needed: int, allowed: int) -> str:
    """The quality takes one dim, the bytes allow only a smaller one."""
    reached = _checks(check for check in advice.checks[allowed] if not check.target.is_budget)
    return (
        f"The quality takes {needed} dimensions, {advice.costs.vector_bytes(needed):,} bytes a vector; "
        f"the bytes allow {allowed}, which keep {reached}."
    )


def _usual(advice: Advice) -> list[str]:
    metric, estimates = main_metric(advice.estimates.metrics), advice.estimates
    lines = ["No target was given (--target 'overlap@10 >= 0.9'). Smallest dim whose lower end keeps"]
    for share in _USUAL_SHARES:
        shares = {dim: estimates.of(Column(ADAPTOR, dim), metric, relative=True) for dim in advice.smaller_dims}
        good = min((dim for dim, estimate in shares.items() if estimate.ci_low >= share), default=None)
        shown = f"none below {advice.costs.input_dim}" if good is None else str(good)
        lines.append(f"  {percent(share)} of {METRIC_NAMES[metric]}: {shown}")
    return lines


def proxies(advice: Advice) -> list[str]:
    """How far an answer without judgments can be trusted."""
    if "ndcg@10" in advice.estimates.metrics:
        return []
    lines = ["Without judgments this rests on a proxy. " + proxy_sentence(benchmark().validity)]
    if advice.dim is not None:
        overlap = advice.estimates.of(Column(ADAPTOR, advice.dim), "overlap@10").value
        if (band := benchmark().band_at(overlap)) is not None:
            lines.append(
                f"There, short vectors with an overlap@10 of {band.low:g} to {band.high:g} kept {percent(band.median)} "
                f"of nDCG@10 in the median and {percent(band.least)} at least ({band.columns} cases)."
            )
    return lines


def _checks(checks: Iterable[TargetCheck]) -> str:
    return "; ".join(map(_check, checks))


def _check(check: TargetCheck) -> str:
    target, estimate = check.target, check.estimate
    if target.is_budget:
        return f"{estimate.value:,.0f} bytes" if target.name == "bytes" else size(estimate.value)
    of = " of original" if target.relative else ""
    return f"{METRIC_NAMES[target.name]} {estimate.value:.3f} [{estimate.ci_low:.3f}, {estimate.ci_high:.3f}]{of}"
