"""What evaluate measured, as its page and its table on the terminal take it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from adaptor.baselines import ORIGINAL, Column
from jobs.encodings.registry import ENCODINGS
from jobs.search.scoring import METRICS, Comparison, MetricRecord, main_metric


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What was measured on what."""

    set: str
    rows: int
    left_out_rows: int
    queries: int
    judged_queries: int | None
    input_dim: int
    metric: str
    adaptor_id: str
    architecture: str
    sampled_queries: bool
    bootstrap: int
    notes: Sequence[str]


@dataclass(frozen=True)
class Results:
    """All records of one set with the paired comparisons of the adaptor on the main measure."""

    records: Sequence[MetricRecord]
    comparisons: Sequence[Comparison]

    @cached_property
    def _records(self) -> dict[tuple[Column, str], MetricRecord]:
        return {(record.column, record.metric): record for record in self.records}

    @cached_property
    def float32(self) -> list[MetricRecord]:
        """The records of all methods as they are; the others are of the adaptor's codes."""
        return [record for record in self.records if record.encoding == "float32"]

    @property
    def input_dim(self) -> int:
        """Full dimension."""
        return next(record.dim for record in self.records if record.method == ORIGINAL)

    @property
    def dims(self) -> list[int]:
        """Dims compared, ascending."""
        return sorted({record.dim for record in self.float32 if record.method != ORIGINAL})

    @property
    def methods(self) -> list[str]:
        """Methods compared, without the original, in their own order."""
        return list(dict.fromkeys(record.method for record in self.records if record.method != ORIGINAL))

    @property
    def metrics(self) -> list[str]:
        """The measures, in the order in which they are shown."""
        measured = {record.metric for record in self.records}
        return [metric for metric in METRICS if metric in measured]

    @property
    def main(self) -> str:
        """The measure that the headline is about."""
        return main_metric(self.metrics)

    @cached_property
    def encodings(self) -> dict[str, list[int]]:
        """The encodings of the adaptor besides float32, and the dims of each, ascending."""
        found: dict[str, set[int]] = {}
        for record in self.records:
            if record.encoding != "float32":
                found.setdefault(record.encoding, set()).add(record.dim)
        return {encoding: sorted(found[encoding]) for encoding in sorted(found, key=shown_order)}

    def record(self, method: str, dim: int, metric: str, encoding: str = "float32") -> MetricRecord:
        """One measure with its interval."""
        return self._records[Column(method, dim, encoding), metric]

    def value(self, method: str, dim: int, metric: str) -> float:
        """Mean of one measure."""
        return self.record(method, dim, metric).value

    def original(self, metric: str) -> MetricRecord:
        """The measure at full dimension."""
        return self.record(ORIGINAL, self.input_dim, metric)

    def best(self, dim: int, metric: str) -> set[str]:
        """Methods that are best at a dim, to the three digits that are shown; none where all are equal."""
        shown = {method: round(self.value(method, dim, metric), 3) for method in self.methods}
        top = min(shown.values()) if metric.endswith("_distance") else max(shown.values())
        best = {method for method, value in shown.items() if value == top}
        return best if len(best) < len(shown) else set()


def shown_order(encoding: str) -> int:
    """Where an encoding stands among others: the widest first, as they are registered."""
    return [*ENCODINGS].index(encoding)
