"""What was decided as advice.json holds it, for machines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jobs.advise.decision import Advice
from jobs.advise.estimates import Estimates
from jobs.advise.nested_samples import SampleScores


def dim_records(advice: Advice) -> list[dict[str, Any]]:
    """What each dim costs, and whether it will do (null where it was not checked)."""
    costs = advice.costs
    return [
        {
            "dim": dim,
            "bytes": costs.vector_bytes(dim),
            "total_bytes": costs.total_bytes(dim),
            "storage_saving": round(costs.vector_bytes_now / costs.vector_bytes(dim), 3),
            "flops_per_comparison": costs.flops(dim),
            "search_saving": round(costs.input_dim / dim, 3),
            "meets_targets": all(check.met for check in checks) if (checks := advice.checks.get(dim)) else None,
        }
        for dim in advice.estimates.dims
    ]


def estimate_records(estimates: Estimates) -> list[dict[str, Any]]:
    """The estimates as metrics.json spells them, each also as a share of the original's value."""
    return [
        {"method": column.method, "dim": column.dim, "metric": metric}
        | estimate._asdict()
        | {"of_original": list(estimates.shares[column, metric]), "n": estimates.queries[metric]}
        for (column, metric), estimate in estimates.absolute.items()
    ]


def trend(samples: Sequence[SampleScores]) -> list[dict[str, Any]]:
    """The means on every nested sample, which are extrapolated."""
    return [
        {"rows": sample.rows, "method": column.method, "dim": column.dim, "metric": metric}
        | {"value": round(float(scores.mean()), 6)}
        for sample in samples
        for column, by_metric in sample.scores.items()
        for metric, scores in by_metric.items()
    ]
