"""What is in a source: every object counted from the listing, rows estimated from the footers of a sample of shards."""

from __future__ import annotations

import math
import random
from array import array
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from adaptor.errors import InputError
from jobs.config.sections import SourceSection
from jobs.sources.parquet import FOOTER_THREADS, Footer, Shard, is_shard_key, open_parquet, read_footer
from jobs.storage.objects import Objects

_Z = NormalDist().inv_cdf(0.975)

Sizes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SampledStatistics:
    """`sizes`: bytes of each shard that are left to do, exact; `done` shards have none. `rows` that are left, with half
    the dim of its 95% interval (0 when every footer was read). `row_groups` and `columns` are those of an average
    shard, `vector_share` the vectors' part of its bytes. `footers` are those of the readable `sampled` shards."""

    sizes: Sizes
    done: int
    rows: float
    rows_error: float
    row_groups: float
    columns: int
    vector_share: float
    sampled: tuple[Shard, ...]
    footers: tuple[Footer, ...]
    unreadable: int


def whole(shard: Shard) -> int:
    """Nothing is done yet: all bytes of the shard are left."""
    return shard.size


def sample_statistics(
    objects: Objects, source: SourceSection, footers: int, seed: int, left: Callable[[Shard], int] = whole
) -> SampledStatistics | None:
    """List the source and read the footers of at most `footers` of the shards that have something `left` (bytes), drawn
    uniformly; None when all are done.

    Memory: 8 bytes for each shard, besides what the listing takes. `InputError` when there is no shard, or none of the
    drawn ones is readable.
    """
    sizes, drawn, done = _draw(objects, footers, random.Random(seed), left)  # noqa: S311 - a sample, not a secret
    if done and not len(sizes):
        return None
    if not len(sizes):
        raise InputError(f"{objects.uri} does not exist or holds no *.parquet file: check source.uri")

    def footer(shard: Shard) -> Footer | InputError:
        """The footer, or what is wrong with it."""
        try:
            return read_footer(objects, shard, source)
        except InputError as problem:
            return problem

    with ThreadPoolExecutor(FOOTER_THREADS) as threads:
        looked = list(threads.map(footer, drawn))
    read = [(shard, found) for shard, found in zip(drawn, looked, strict=True) if isinstance(found, Footer)]
    if not read:
        raise next(problem for problem in looked if isinstance(problem, InputError))
    found = [footer for _, footer in read]
    of_read = [left(shard) for shard, _ in read]
    rows_left = [footer.rows * size / max(1, shard.size) for (shard, footer), size in zip(read, of_read, strict=True)]
    rows, error = estimate_total(rows_left, of_read, sizes)
    columns, vector_share = _columns(objects, read[0][0], source.vector_column)
    return SampledStatistics(
        sizes=sizes,
        done=done,
        rows=rows,
        rows_error=error,
        row_groups=sum(len(footer.row_group_rows) for footer in found) / len(found),
        columns=columns,
        vector_share=vector_share,
        sampled=tuple(shard for shard, _ in read),
        footers=tuple(found),
        unreadable=len(drawn) - len(read),
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


def _columns(objects: Objects, shard: Shard, vector_column: str) -> tuple[int, float]:
    """Stored columns of a shard (nested payload has several), and the part of its bytes that the vectors are."""
    vectors = others = 0
    with open_parquet(objects, shard.key) as file:
        for group in range(file.metadata.num_row_groups):
            for index in range(file.metadata.num_columns):
                chunk = file.metadata.row_group(group).column(index)
                if chunk.path_in_schema.split(".")[0] == vector_column:
                    vectors += chunk.total_compressed_size
                else:
                    others += chunk.total_compressed_size
        return file.metadata.num_columns, vectors / max(1, vectors + others)


def _draw(
    objects: Objects, most: int, random_numbers: random.Random, left: Callable[[Shard], int]
) -> tuple[Sizes, list[Shard], int]:
    """Bytes left of the shards that are not done, a uniform sample of those (Vitter's algorithm R: one pass, nothing
    else is kept), and how many are done."""
    sizes = array("q")
    drawn: list[Shard] = []
    done = 0
    for shard in _shards(objects):
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


def _shards(objects: Objects) -> Iterator[Shard]:
    return (Shard(info.key, info.size, info.version) for info in objects.list() if is_shard_key(info.key))
