"""What a running job tells Prometheus, through Ray's own exporter (`ray_matryoshka_…`, on every node's metrics port).

Counted in the driver, so a repeated attempt is not counted twice. Tags have a few fixed values and never name a shard.
"""

from __future__ import annotations

from ray.util.metrics import Counter, Histogram

from jobs.commits.failures import Cause
from jobs.compress.drift import Kind
from jobs.compress.report import Result

#: Bounds of the buckets for seconds of a work item.
_BOUNDS = [0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000]


class Metrics:
    """The metrics of one job."""

    def __init__(self) -> None:
        self._items = Counter("matryoshka_work_items", "Work items by how they ended.", ("status",))
        self._rows = Counter("matryoshka_rows", "Rows read, written and put aside.", ("kind",))
        self._bytes = Counter("matryoshka_bytes", "Bytes of shards read and of outputs written.", ("kind",))
        self._drifted = Counter("matryoshka_drifted_items", "Work items unlike what was fitted.", ("kind",))
        self._seconds = Histogram("matryoshka_seconds", "Seconds of a work item, by phase.", _BOUNDS, ("phase",))

    def count(self, result: Result) -> None:
        """Take a finished work item into account; a failed one under its kind (`failures.Kind`)."""
        for phase, seconds in {"total": result.seconds, **result.phases}.items():
            self._seconds.observe(seconds, {"phase": phase})
        outcome = result.outcome
        if isinstance(outcome, Cause):
            self._items.inc(1, {"status": outcome.kind})
            return
        self._items.inc(1, {"status": "done"})
        rows = {"in": outcome.rows_in, "out": outcome.rows_out, "quarantined": outcome.rows_quarantined}
        sizes = {"in": result.item.input_bytes, "out": outcome.output_bytes}
        for counter, counts in ((self._rows, rows), (self._bytes, sizes)):
            for kind, count in counts.items():
                if count:  # Ray refuses to count nothing
                    counter.inc(count, {"kind": kind})

    def count_drift(self, kind: Kind) -> None:
        """Take a work item of another space, or on another topic, into account."""
        self._drifted.inc(1, {"kind": kind})
