"""What a running job tells Prometheus, through Ray's own exporter (`ray_matryoshka_…`, on every node's metrics port).

Counted in the driver, from the results: what a retried attempt does is not counted twice. Tags have a few fixed values
each and never name a shard.
"""

from __future__ import annotations

from ray.util.metrics import Counter, Histogram

from jobs.compress.worker import Result

#: Bounds of the buckets for seconds per work item.
_BOUNDS = [0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000]


class Metrics:
    """The metrics of one job."""

    def __init__(self) -> None:
        self._items = Counter("matryoshka_work_items", "Work items by how they ended.", ("status",))
        self._rows = Counter("matryoshka_rows", "Rows read, written and put aside.", ("kind",))
        self._bytes = Counter("matryoshka_bytes", "Bytes of shards read and of outputs written.", ("kind",))
        self._seconds = Histogram("matryoshka_seconds", "Seconds of a work item, by phase.", _BOUNDS, ("phase",))

    def count(self, result: Result) -> None:
        """Take a finished work item into account; a failed one under its kind (data, outage, crash, timeout)."""
        self._items.inc(1, {"status": result.status if result.cause is None else result.cause.kind})
        for phase, seconds in {"total": result.seconds, **result.phases}.items():
            self._seconds.observe(seconds, {"phase": phase})
        record = result.record
        if record is not None:
            kinds = {"in": record.rows_in, "out": record.rows_out, "quarantined": record.rows_quarantined}
            for kind, rows in kinds.items():
                _add(self._rows, rows, kind)
            _add(self._bytes, result.item.input_bytes, "in")
            _add(self._bytes, record.output_bytes, "out")


def _add(counter: Counter, amount: int, kind: str) -> None:
    if amount:  # Ray refuses to count nothing
        counter.inc(amount, {"kind": kind})
