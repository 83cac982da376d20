"""What is in a source: every object counted from the listing, rows estimated from a sample of shards."""

from __future__ import annotations

import math
import random
from array import array
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from adaptor.errors import InputError
from jobs.config.sections import SourceSection
from jobs.sources.columns import describe_vectors
from jobs.sources.source import DESCRIBE_THREADS, Shard, ShardInfo, Source, StoredColumns

_Z = NormalDist().inv_cdf(0.975)

Sizes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SampledStatistics:
    """`sizes`: bytes of each shard that are left to do, exact; `done` shards have none. `rows` that are left, with half
    the length of its 95% interval (0 when every shard was described). `row_groups` are those of an average shard,
    `columns` those of the first. `infos` are those of the readable sampled `shards`."""

    sizes: Sizes
    done: int
    rows: float
    rows_error: float
    row_groups: float
    columns: StoredColumns
    shards: tuple[Shard, ...]
    infos: tuple[ShardInfo, ...]
    unreadable: int


def whole(shard: Shard) -> int:
    """Nothing is done yet: all bytes of the shard are left."""
    return shard.size


def sample_statistics(
    source: Source, section: SourceSection, most: int, seed: int, left: Callable[[Shard], int] = whole
) -> SampledStatistics | None:
    """List the source and describe at most `most` of the shards that have something `left` (bytes), drawn uniformly;
    None when all are done.

    Memory: 8 bytes for each shard, besides what the listing takes. `InputError` when there is no shard, or none of the
    drawn ones is readable.
    """
    sizes, drawn, done = _draw(source.shards(), most, random.Random(seed), left)  # noqa: S311 - a sample, not a secret
    if done and not len(sizes):
        return None

    def describe(shard: Shard) -> ShardInfo | InputError:
        """The shard described, or what is wrong with it."""
        try:
            return describe_vectors(source, shard, section)
        except InputError as problem:
            return problem

    with ThreadPoolExecutor(DESCRIBE_THREADS) as threads:
        described = list(threads.map(describe, drawn))
    readable = [(shard, info) for shard, info in zip(drawn, described, strict=True) if isinstance(info, ShardInfo)]
    if not readable:
        raise next(problem for problem in described if isinstance(problem, InputError))
    bytes_left = [left(shard) for shard, _ in readable]
    rows_left = [
        info.rows * size / max(1, shard.size) for (shard, info), size in zip(readable, bytes_left, strict=True)
    ]
    rows, error = estimate_total(rows_left, bytes_left, sizes)
    return SampledStatistics(
        sizes=sizes,
        done=done,
        rows=rows,
        rows_error=error,
        row_groups=sum(len(info.row_group_rows) for _, info in readable) / len(readable),
        columns=source.stored_columns(readable[0][0], section.vector_column),
        shards=tuple(shard for shard, _ in readable),
        infos=tuple(info for _, info in readable),
        unreadable=len(drawn) - len(readable),
    )


def estimate_total(values: Sequence[float], sizes: Sequence[int], all_sizes: Sizes) -> tuple[float, float]:
    """The sum of `values` over all shards, from those of a uniform sample with these `sizes`, and its 95% error.

    Ratio estimator (Cochran, Sampling Techniques, 3rd edition, section 6.3): rows are nearly proportional to bytes, so
    the error is that of the deviations from the ratio. Student's t by its first correction (t ≈ z + (z³ + z) / 4ν).
    """
    count, total = len(values), len(all_sizes)
    if not sum(sizes):
        return float(sum(values)), 0.0
    ratio = sum(values) / sum(sizes)
    estimate = ratio * float(all_sizes.sum())
    if count >= total:
        return float(sum(values)), 0.0
    if count < 2:
        return estimate, estimate
    deviations = sum((value - ratio * size) ** 2 for value, size in zip(values, sizes, strict=True)) / (count - 1)
    t = _Z + (_Z**3 + _Z) / (4 * (count - 1))
    return estimate, t * total * math.sqrt(deviations / count * (1 - count / total))


def _draw(
    shards: Sequence[Shard], most: int, random_numbers: random.Random, left: Callable[[Shard], int]
) -> tuple[Sizes, list[Shard], int]:
    """Bytes left of the shards that are not done, a uniform sample of those (Vitter's algorithm R: one pass, nothing
    else is kept), and how many are done."""
    sizes = array("q")
    drawn: list[Shard] = []
    done = 0
    for shard in shards:
        size = left(shard)
        if not size and shard.size:
            done += 1
            continue
        sizes.append(size)
        if len(drawn) < most:
            drawn.append(shard)
        elif (place := random_numbers.randrange(len(sizes))) < most:
            drawn[place] = shard
    return np.frombuffer(sizes, dtype=np.int64) if sizes else np.empty(0, np.int64), drawn, done
