"""What to say when nothing meets the targets: which demand fails, what comes closest, and what to do."""

from __future__ import annotations

from collections.abc import Iterable

from jobs.advise.candidates import Candidate
from jobs.advise.decision import Advice, TargetCheck
from jobs.config.targets import Target
from jobs.reporting.names import METRIC_NAMES
from jobs.runtime.units import size


def unmet(advice: Advice) -> list[str]:
    """Why no candidate meets all targets."""
    demands = " and ".join(map(str, advice.targets))
    lines = [f"Nothing smaller than the {advice.costs.vector_bytes_now:,} bytes of today meets {demands}."]
    if not advice.own:
        return [*lines, "There is nothing smaller to look at: give advising.dims, or fit with other adaptor.dims."]
    lines += [_closest(advice, target) for target in advice.targets if not _met_by(advice, [target])]
    if len(lines) > 1:
        return [*lines, "Ask for less, or fit an adaptor with other dims, with labels, or on a larger sample."]
    quality = [target for target in advice.targets if not target.is_budget]
    if not (good := _met_by(advice, quality)):
        return [*lines, *(_alone(advice, target) for target in quality), "Together they are too much: ask for less."]
    allowed = _met_by(advice, [target for target in advice.targets if target.is_budget])
    best = max(allowed, key=lambda candidate: advice.quality(candidate).value)
    reached = show_checks(check for check in advice.checks[best] if not check.target.is_budget)
    return [
        *lines,
        f"The quality takes {good[0].bytes:,} bytes a vector ({good[0]}); in the bytes allowed {best} has {reached}.",
        "Allow more bytes, or ask for less.",
    ]


def _met_by(advice: Advice, targets: Iterable[Target]) -> list[Candidate]:
    """The candidates that meet these targets, by bytes."""
    wanted = set(targets)
    return [c for c, checks in advice.checks.items() if all(k.met for k in checks if k.target in wanted)]


def _closest(advice: Advice, target: Target) -> str:
    checks = {c: next(k for k in checks if k.target == target) for c, checks in advice.checks.items()}
    if target.is_budget:
        closest = min(checks, key=lambda candidate: candidate.bytes)
    else:
        closest = max(checks, key=lambda candidate: (checks[candidate].estimate.ci_low, -candidate.bytes))
    return f"{target}: nothing meets it; {closest} comes closest with {show_check(checks[closest])}."


def _alone(advice: Advice, target: Target) -> str:
    smallest = _met_by(advice, [target])[0]
    return f"{target} alone takes {smallest.bytes:,} bytes ({smallest})."


def show_checks(checks: Iterable[TargetCheck]) -> str:
    """What was estimated, in words."""
    return "; ".join(map(show_check, checks))


def show_check(check: TargetCheck) -> str:
    """What was estimated for one target, in words."""
    target, estimate = check.target, check.estimate
    if target.is_budget:
        return f"{estimate.value:,.0f} bytes" if target.name == "bytes" else size(estimate.value)
    of = " of original" if target.relative else ""
    return f"{METRIC_NAMES[target.name]} {estimate.value:.3f} [{estimate.ci_low:.3f}, {estimate.ci_high:.3f}]{of}"
