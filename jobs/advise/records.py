"""The estimates as advice.json holds them, for machines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jobs.advise.answer import Told
from jobs.advise.estimates import Estimates
from jobs.advise.nested_samples import Scored


def dim_records(told: Told) -> list[dict[str, Any]]:
    """What each dim costs, and whether it will do."""
    cost = told.prices
    return [
        {
            "dim": dim,
            "bytes": cost.vector_bytes(dim),
            "total_bytes": cost.total_bytes(dim),
            "storage_saving": round(cost.vector_bytes_now / cost.vector_bytes(dim), 3),
            "flops_per_comparison": cost.flops(dim),
            "search_saving": round(cost.input_dim / dim, 3),
            "meets_targets": _meets(told, dim),
        }
        for dim in told.estimates.dims
    ]


def records(estimates: Estimates) -> list[dict[str, Any]]:
    """The estimates as metrics.json spells them, each also as a share of the original's value."""
    return [
        {"method": column.method, "dim": column.dim, "metric": metric}
        | dict(zip(("value", "ci_low", "ci_high"), found, strict=True))
        | {"of_original": list(estimates.shares[column, metric]), "n": estimates.queries[metric]}
        for (column, metric), found in estimates.absolute.items()
    ]


def _meets(told: Told, dim: int) -> bool | None:
    checks = told.decision.checks.get(dim)
    return all(check.met for check in checks) if checks else None


def trend(steps: Sequence[tuple[int, Scored]]) -> list[dict[str, Any]]:
    """The means on every nested sample, from which the estimates are carried over."""
    return [
        {"rows": rows, "method": column.method, "dim": column.dim, "metric": metric}
        | {"value": round(float(scores.mean()), 6)}
        for rows, scored in steps
        for column, by_metric in scored.items()
        for metric, scores in by_metric.items()
    ]
