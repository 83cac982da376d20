"""Which dim will do: every demand against what is known of every dim. Pure.

A measure is met where the lower end of its 95% interval reaches the bound: what is promised holds with other queries of
the same kind, too. Of the dims that meet all demands the smallest is chosen; where only bytes are limited, the widest
that fits. The full dimension is never an answer: it saves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jobs.advise.costs import Prices
from jobs.advise.estimates import Estimate, Estimates
from jobs.config.targets import Target
from jobs.search.methods import Column


@dataclass(frozen=True)
class Check:
    """One demand at one dim: what was estimated (for a budget: the bytes), and whether it is met."""

    target: Target
    found: Estimate
    met: bool


@dataclass(frozen=True)
class Decision:
    """The checks of every dim below the full one, and the chosen dim of each method (None: no dim will do)."""

    checks: Mapping[int, Sequence[Check]]
    chosen: Mapping[str, int | None]


def decide(targets: Sequence[Target], estimates: Estimates, prices: Prices, method: str) -> Decision:
    """Check `targets` at every dim for `method`, and choose a dim for it and for every other method."""
    dims = [dim for dim in estimates.dims if dim < prices.input_dim]
    checks = {m: {w: _checks(targets, estimates, prices, Column(m, w)) for w in dims} for m in estimates.methods}
    chosen = {m: _choose(targets, by_width) for m, by_width in checks.items()}
    return Decision(checks[method], chosen)


def _choose(targets: Sequence[Target], checks: Mapping[int, Sequence[Check]]) -> int | None:
    good = [dim for dim, found in checks.items() if all(check.met for check in found)]
    if not good or not targets:
        return None
    return max(good) if all(target.is_budget for target in targets) else min(good)


def _checks(targets: Sequence[Target], estimates: Estimates, prices: Prices, column: Column) -> list[Check]:
    found = []
    for target in targets:
        if target.is_budget:
            cost = prices.vector_bytes(column.dim) if target.name == "bytes" else prices.total_bytes(column.dim)
            found.append(Check(target, Estimate(cost, cost, cost), cost <= target.bound))
        else:
            estimate = estimates.of(column, target.name, target.relative)
            found.append(Check(target, estimate, estimate.low >= target.bound))
    return found
