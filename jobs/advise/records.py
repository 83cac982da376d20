"""The long part of advice.json, for machines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jobs.advise.decision import Advice
from jobs.advise.nested_samples import SampleScores


def detail_records(advice: Advice, samples: Sequence[SampleScores]) -> dict[str, list[dict[str, Any]]]:
    """`dims`: what each costs, and whether it will do (null where it was not checked); `records`: the estimates as
    metrics.json spells them, each also as a share of the original's value; `trend`: the means that are extrapolated."""
    costs, estimates = advice.costs, advice.estimates
    dims = [
        {
            "dim": dim,
            "bytes": costs.vector_bytes(dim),
            "total_bytes": costs.total_bytes(dim),
            "storage_saving": round(costs.vector_bytes_now / costs.vector_bytes(dim), 3),
            "flops_per_comparison": costs.flops(dim),
            "search_saving": round(costs.input_dim / dim, 3),
            "meets_targets": all(check.met for check in checks) if (checks := advice.checks.get(dim)) else None,
        }
        for dim in estimates.dims
    ]
    records = [
        {**column._asdict(), "metric": metric, **estimate._asdict()}
        | {"of_original": list(estimates.shares[column, metric]), "n": estimates.queries[metric]}
        for (column, metric), estimate in estimates.absolute.items()
    ]
    trend = [
        {"rows": sample.rows, **column._asdict(), "metric": metric, "value": round(float(scores.mean()), 6)}
        for sample in samples
        for column, by_metric in sample.scores.items()
        for metric, scores in by_metric.items()
    ]
    return {"dims": dims, "records": records, "trend": trend}
