"""The long part of advice.json, for machines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jobs.advise.decision import Advice
from jobs.advise.nested_samples import SampleScores


def detail_records(advice: Advice, samples: Sequence[SampleScores]) -> dict[str, list[dict[str, Any]]]:
    """`pairs`: every candidate, what it costs and keeps, and whether it will do; `records`: the estimates as
    metrics.json spells them, each also as a share of the original's value; `trend`: the means that are extrapolated."""
    costs, estimates = advice.costs, advice.estimates
    pairs = [
        candidate.record
        | {
            "total_bytes": costs.total_bytes(candidate),
            "storage_saving": round(costs.vector_bytes_now / candidate.bytes, 3),
            "flops_per_comparison": costs.flops(candidate.dim),
            "values": {
                metric: {
                    **estimates.of(candidate.column, metric)._asdict(),
                    "of_original": list(estimates.of(candidate.column, metric, relative=True)),
                }
                for metric in estimates.metrics
            },
            "meets_targets": all(check.met for check in advice.checks[candidate]) if advice.targets else None,
            "on_front": candidate in advice.front,
        }
        for candidate in advice.own
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
    return {"pairs": pairs, "records": records, "trend": trend}
