"""Which dim will do: every target against what was estimated for every dim. Pure.

A measure is met where the lower end of its 95% interval reaches the bound: it then holds with other queries of the same
kind, too. Of the dims that meet all targets the smallest is chosen; where only bytes are limited, the largest. The full
dimension is never an answer: it saves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from adaptor.baselines import ADAPTOR, Column
from adaptor.settings import Metric
from jobs.advise.estimates import Estimates
from jobs.config.targets import Target
from jobs.search.scoring import MeasureEstimate


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Rows of a source, dimension and bytes of its vectors, and bytes of a short vector by its dim."""

    rows: int
    input_dim: int
    vector_bytes_now: int
    vector_bytes: Callable[[int], int]
    metric: Metric

    def total_bytes(self, dim: int) -> int:
        """Bytes of all short vectors, without ids and payload."""
        return self.rows * self.vector_bytes(dim)

    def flops(self, dim: int) -> int:
        """Operations of one comparison: a multiplication and an addition per number, for l2 also a subtraction."""
        return (3 if self.metric == "l2" else 2) * dim


@dataclass(frozen=True)
class TargetCheck:
    """One target at one dim: what was estimated (for a budget: the bytes), and whether it is met."""

    target: Target
    estimate: MeasureEstimate
    met: bool


@dataclass(frozen=True, kw_only=True)
class Advice:
    """The targets, what they were checked against, the checks of the adaptor at every dim below the full one, and the
    chosen dim of each method (None: no dim will do)."""

    targets: Sequence[Target]
    estimates: Estimates
    costs: Costs
    checks: Mapping[int, Sequence[TargetCheck]]
    chosen: dict[str, int | None]

    @property
    def dim(self) -> int | None:
        """The answer."""
        return self.chosen[ADAPTOR]

    @property
    def met(self) -> bool:
        """Whether a dim meets all targets, or there are none."""
        return not self.targets or self.dim is not None

    @property
    def smaller_dims(self) -> list[int]:
        """The dims below the full one."""
        return [dim for dim in self.estimates.dims if dim < self.costs.input_dim]


def decide(targets: Sequence[Target], estimates: Estimates, costs: Costs) -> Advice:
    """Check `targets` at every dim below the full one, and choose a dim for every method."""
    dims = [dim for dim in estimates.dims if dim < costs.input_dim]
    checks = {
        method: {dim: [_check(target, estimates, costs, Column(method, dim)) for target in targets] for dim in dims}
        for method in estimates.methods
    }
    return Advice(
        targets=targets,
        estimates=estimates,
        costs=costs,
        checks=checks[ADAPTOR],
        chosen={method: _choose(targets, by_dim) for method, by_dim in checks.items()},
    )


def _choose(targets: Sequence[Target], checks: Mapping[int, Sequence[TargetCheck]]) -> int | None:
    good = [dim for dim, at_dim in checks.items() if all(check.met for check in at_dim)]
    if not good or not targets:
        return None
    return max(good) if all(target.is_budget for target in targets) else min(good)


def _check(target: Target, estimates: Estimates, costs: Costs, column: Column) -> TargetCheck:
    if target.is_budget:
        cost = costs.vector_bytes(column.dim) if target.name == "bytes" else costs.total_bytes(column.dim)
        return TargetCheck(target, MeasureEstimate(cost, cost, cost), cost <= target.bound)
    estimate = estimates.of(column, target.name, target.relative)
    return TargetCheck(target, estimate, estimate.ci_low >= target.bound)
