"""The estimates as advice.json holds them, for machines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jobs.advise.answer import Told
from jobs.advise.estimates import Estimates
from jobs.advise.nested_samples import Scored


def width_records(told: Told) -> list[dict[str, Any]]:
    """What each width costs, and whether it will do."""
    cost = told.prices
    return [
        {
            "width": width,
            "bytes": cost.vector_bytes(width),
            "total_bytes": cost.total_bytes(width),
            "storage_saving": round(cost.vector_bytes_now / cost.vector_bytes(width), 3),
            "flops_per_comparison": cost.flops(width),
            "search_saving": round(cost.dim / width, 3),
            "meets_targets": _meets(told, width),
        }
        for width in told.estimates.widths
    ]


def records(estimates: Estimates) -> list[dict[str, Any]]:
    """The estimates as metrics.json spells them, each also as a share of the original's value."""
    return [
        {"method": column.method, "width": column.width, "metric": metric}
        | dict(zip(("value", "ci_low", "ci_high"), found, strict=True))
        | {"of_original": list(estimates.shares[column, metric]), "n": estimates.queries[metric]}
        for (column, metric), found in estimates.absolute.items()
    ]


def _meets(told: Told, width: int) -> bool | None:
    checks = told.decision.checks.get(width)
    return all(check.met for check in checks) if checks else None


def trend(steps: Sequence[tuple[int, Scored]]) -> list[dict[str, Any]]:
    """The means on every nested sample, from which the estimates are carried over."""
    return [
        {"rows": rows, "method": column.method, "width": column.width, "metric": metric}
        | {"value": round(float(scores.mean()), 6)}
        for rows, scored in steps
        for column, by_metric in scored.items()
        for metric, scores in by_metric.items()
    ]
