"""Which pair of dim and encoding will do: every target against what was estimated for every candidate. Pure.

A measure is met where the lower end of its 95% interval reaches the bound: it then holds with other queries of the same
kind, too. Of the candidates that meet all targets the one of the fewest bytes is chosen; where only bytes are limited,
the best in the main measure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from adaptor.baselines import ADAPTOR
from jobs.advise.candidates import Candidate, Costs
from jobs.advise.estimates import Estimates
from jobs.config.databases import Database
from jobs.config.targets import Target
from jobs.search.front import pareto_front
from jobs.search.scoring import MeasureEstimate, main_metric


@dataclass(frozen=True)
class TargetCheck:
    """One target of one candidate: what was estimated (for a budget: the bytes), and whether it is met."""

    target: Target
    estimate: MeasureEstimate
    met: bool


@dataclass(frozen=True, kw_only=True)
class Advice:
    """The targets, what they were checked against, the candidates of every method by bytes, and the database that will
    hold them, if one was named."""

    targets: Sequence[Target]
    estimates: Estimates
    costs: Costs
    candidates: Mapping[str, Sequence[Candidate]]
    database: Database | None = None

    @property
    def main(self) -> str:
        """The measure that quality is told in."""
        return main_metric(self.estimates.metrics)

    @property
    def own(self) -> Sequence[Candidate]:
        """The candidates of the adaptor."""
        return self.candidates[ADAPTOR]

    @cached_property
    def checks(self) -> dict[Candidate, list[TargetCheck]]:
        """Every target of every candidate of the adaptor."""
        return {candidate: self._checks(self.targets, candidate) for candidate in self.own}

    @cached_property
    def choice(self) -> Candidate | None:
        """The answer; None where there is none, or no target."""
        return self.choose(self.targets, ADAPTOR) if self.targets else None

    @property
    def met(self) -> bool:
        """Whether a candidate meets all targets, or there are none."""
        return not self.targets or self.choice is not None

    @cached_property
    def front(self) -> list[Candidate]:
        """The adaptor's candidates that are better than everything that takes no more bytes."""
        return pareto_front({c: (c.bytes, self.quality(c).value) for c in self.own})

    def quality(self, candidate: Candidate) -> MeasureEstimate:
        """The main measure."""
        return self.estimates.of(candidate.column, self.main)

    def share(self, candidate: Candidate) -> MeasureEstimate:
        """The main measure as a share of the original's."""
        return self.estimates.of(candidate.column, self.main, relative=True)

    def choose(self, targets: Sequence[Target], method: str) -> Candidate | None:
        """The smallest candidate of a method that meets all of `targets`, or the best where they only limit bytes."""
        good = [c for c in self.candidates[method] if all(check.met for check in self._checks(targets, c))]
        if all(target.is_budget for target in targets):
            return min(good, key=lambda c: (-self.quality(c).value, c.bytes), default=None)
        return min(good, key=lambda c: (c.bytes, -self.quality(c).value), default=None)

    def _checks(self, targets: Sequence[Target], candidate: Candidate) -> list[TargetCheck]:
        return [self._check(target, candidate) for target in targets]

    def _check(self, target: Target, candidate: Candidate) -> TargetCheck:
        if target.is_budget:
            cost = candidate.bytes if target.name == "bytes" else self.costs.total_bytes(candidate)
            return TargetCheck(target, MeasureEstimate(cost, cost, cost), cost <= target.bound)
        estimate = self.estimates.of(candidate.column, target.name, target.relative)
        return TargetCheck(target, estimate, estimate.ci_low >= target.bound)
