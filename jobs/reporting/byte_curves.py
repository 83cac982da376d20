"""Quality against bytes a vector: what is drawn and told of every way to store one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from adaptor.baselines import ADAPTOR
from jobs.reporting.names import method_name
from jobs.reporting.results import Results
from jobs.search.front import pareto_front
from jobs.search.scoring import MetricRecord

#: Every method is counted as this where only floats are stored: it searches like float32, in half the bytes.
FLOATS = "float16"


class BytePoint(NamedTuple):
    """A dim, the bytes of a vector, and the measure with its interval."""

    dim: int
    bytes: int
    value: float
    ci_low: float
    ci_high: float


@dataclass(frozen=True)
class ByteCurves:
    """The points of each curve by bytes, for one measure, with the original's value; a point may be marked. A curve is
    named by the encoding of the adaptor, or by the other method, whose vectors are float16."""

    metric: str
    original: float
    curves: Mapping[str, Sequence[BytePoint]]
    chosen: BytePoint | None = None

    @property
    def front(self) -> list[tuple[str, BytePoint]]:
        """The adaptor's points that are better than all that take no more bytes, with their encodings."""
        own = ((name, point) for name, points in self.curves.items() if name not in self.others for point in points)
        return pareto_front({(name, point): (point.bytes, point.value) for name, point in own})

    @property
    def others(self) -> list[str]:
        """The curves of other methods, in their own order."""
        return [name for name in self.curves if name in ("truncation", "pca")]

    def in_bytes(self, name: str, most: int) -> BytePoint | None:
        """The best point of a curve in at most so many bytes."""
        fitting = [point for point in self.curves[name] if point.bytes <= most]
        return max(fitting, key=lambda point: point.value, default=None)


def curve_name(name: str) -> str:
    """What a curve is called in a legend."""
    named = {"truncation": "Truncation, float16", "pca": "PCA, float16", "rescored": "Adaptor, binary > float"}
    return named.get(name, f"{method_name(ADAPTOR)}, {name}")


def byte_curves(results: Results) -> ByteCurves:
    """The curves of the main measure: the other methods in float16, then the adaptor in each of its encodings."""
    metric = results.main
    curves = {method: _as_float16(results, method) for method in results.methods}
    own = curves.pop(ADAPTOR)
    curves[FLOATS] = own  # unless they were measured
    curves |= {
        encoding: [_point(results.record(ADAPTOR, dim, metric, encoding)) for dim in dims]
        for encoding, dims in results.encodings.items()
    }
    return ByteCurves(metric, results.original(metric).value, curves)


def _as_float16(results: Results, method: str) -> list[BytePoint]:
    records = (results.record(method, dim, results.main) for dim in results.dims)
    return [_point(record)._replace(bytes=record.bytes // 2) for record in records]


def _point(record: MetricRecord) -> BytePoint:
    return BytePoint(record.dim, record.bytes, record.value, record.ci_low, record.ci_high)
