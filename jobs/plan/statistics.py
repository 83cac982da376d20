"""What is in a source: every shard counted from the listing, rows estimated from a sample of shards."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from adaptor.errors import InputError
from jobs.commits.names import RecordName, record_name
from jobs.config.plan import CalibrationSection
from jobs.config.sections import SourceSection
from jobs.sources.columns import describe_vectors
from jobs.sources.source import DESCRIBE_THREADS, Shard, ShardInfo, Source
from jobs.storage.local import LocalObjects
from jobs.storage.open import open_objects

#: 97.5% of a normal distribution lie below.
_Z = 1.959964

Sizes = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class SourceStatistics:
    """What is left of a source: bytes of each shard, `rows` ± `rows_error` (of a 95% interval), row groups of an
    average shard, leaf columns, bytes of one buffered read. A `local` source needs no network and no requests. Where
    `reads_measured`, the measured rates hold the waiting for reads."""

    sizes: Sizes
    rows: float
    rows_error: float
    row_groups: float
    columns: int
    buffer_bytes: int
    local: bool
    reads_measured: bool


@dataclass(frozen=True, kw_only=True)
class SourceSample:
    """The statistics, the readable shards of the sample, and how many others were unreadable."""

    statistics: SourceStatistics
    described: list[tuple[Shard, ShardInfo]]
    unreadable: int


def bytes_left(shards: Iterable[Shard], recorded: Iterable[RecordName]) -> dict[Shard, int]:
    """Bytes of each shard that no record is for, without shards that are done. Only compress looks for the outputs."""
    done: dict[tuple[str, str], float] = defaultdict(float)
    for name in recorded:
        run = name.row_groups
        done[name.shard, name.version] += 1 if run is None else (run.stop - run.start) / run.total
    left = {}
    for shard in shards:
        name = record_name(shard, None)
        size = round(shard.size * max(0.0, 1 - done.get((name.shard, name.version), 0)))
        if size or not shard.size:
            left[shard] = size
    return left


def sample_source(
    source: Source, section: SourceSection, left: Mapping[Shard, int], calibration: CalibrationSection
) -> SourceSample:
    """Describe `calibration.footers` of the shards that have bytes `left`, drawn uniformly. Raises `InputError` when
    none of them is readable."""
    draws = random.Random(calibration.seed)  # noqa: S311 - a sample, not a secret
    drawn = draws.sample([*left], min(calibration.footers, len(left)))

    def describe(shard: Shard) -> ShardInfo | InputError:
        """The shard described, or what is wrong with it."""
        try:
            return describe_vectors(source, shard, section)
        except InputError as problem:
            return problem

    with ThreadPoolExecutor(DESCRIBE_THREADS) as threads:
        answers = list(threads.map(describe, drawn))
    described = [(shard, info) for shard, info in zip(drawn, answers, strict=True) if isinstance(info, ShardInfo)]
    if not described:
        raise next(answer for answer in answers if isinstance(answer, InputError))
    sizes = np.array([*left.values()], np.int64)
    rows_left = [info.rows * left[shard] / max(1, shard.size) for shard, info in described]
    rows, error = estimate_total(rows_left, [left[shard] for shard, _ in described], sizes)
    objects = open_objects(section.uri, section.filesystem)
    statistics = SourceStatistics(
        sizes=sizes,
        rows=rows,
        rows_error=error,
        row_groups=sum(len(info.row_group_rows) for _, info in described) / len(described),
        columns=sum(_leaf_columns(column.type) for column in described[0][1].schema),
        buffer_bytes=objects.buffer_bytes,
        local=isinstance(objects, LocalObjects),
        reads_measured=True,
    )
    return SourceSample(statistics=statistics, described=described, unreadable=len(drawn) - len(described))


def estimate_total(values: Sequence[float], sizes: Sequence[int], all_sizes: Sizes) -> tuple[float, float]:
    """The sum of `values` over all shards, from those of a uniform sample with these `sizes`, and its 95% error.

    Ratio estimator (Cochran, Sampling Techniques, 3rd edition, section 6.3), as rows are nearly proportional to bytes.
    Student's t by its first correction (t ≈ z + (z³ + z) / 4ν).
    """
    count, total = len(values), len(all_sizes)
    if count >= total or not sum(sizes):
        return float(sum(values)), 0.0
    ratio = sum(values) / sum(sizes)
    estimate = ratio * float(all_sizes.sum())
    if count < 2:
        return estimate, estimate
    deviation = float(np.std(np.asarray(values) - ratio * np.asarray(sizes), ddof=1))
    t = _Z + (_Z**3 + _Z) / (4 * (count - 1))
    return estimate, t * total * deviation * math.sqrt((1 - count / total) / count)


def _leaf_columns(kind: pa.DataType) -> int:
    """Columns that a file stores for one of this type: nested ones have several."""
    return sum(_leaf_columns(kind.field(index).type) for index in range(kind.num_fields)) or 1
