"""Search of nested samples of a source, and what their trend says of the whole of it.

A sample is sparser than its source: true neighbours lie farther apart and are easier to keep, distractors are fewer. So
every measure is taken on nested samples (an eighth, a quarter, a half, all of the rows drawn). A straight line and a
parabola through them, over the logarithm of the rows, are extrapolated to the size of the source. A curve that would
rise is not followed: the value on the largest sample stands. On real sets the line is the cautious one for overlaps,
the parabola for nDCG (tests/benchmarks/sample_size.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import ray

from adaptor.neighbours import Neighbours
from adaptor.quality import Scores
from adaptor.rows import Floats, Ids
from cluster.settings import ClusterSection
from jobs.search.scoring import ColumnScores
from jobs.search.source_search import ColumnNeighbours, SearchSpec, join_neighbours, search_rows

#: Nested samples: each twice as large as the one before.
SAMPLES = 4
#: Degrees of the curves that are extrapolated: a straight line and a parabola.
CURVES = (1, 2)
#: Rows below which a sample is too small to be cut further.
_FEWEST = 64
#: Rows of one task: its result (100 rows per query and column) is small beside the work.
_CHUNK_ROWS = 32_768


@dataclass(frozen=True)
class JudgedRows:
    """Rows of judged documents: numbers by id, all numbers int64 (e,) and their vectors float32 (e, d). A row of the
    sample has its number in the sample, others are numbered from its end on."""

    by_id: Mapping[str, Sequence[int]]
    row_numbers: Ids
    vectors: Floats


@dataclass(frozen=True)
class SampleScores:
    """Scores per query on a sample of so many rows."""

    rows: int
    scores: ColumnScores


def sample_sizes(rows: int, whole: int) -> list[int]:
    """Sizes of the nested samples of `rows` rows drawn from `whole`, ascending; only `rows` when it is all there is."""
    if rows >= whole:
        return [rows]
    sizes = [rows >> step for step in reversed(range(SAMPLES))]
    return [size for size in sizes if size >= _FEWEST or size == rows]


def search_nested(
    spec: SearchSpec, vectors: Floats, sizes: Sequence[int], judged: JudgedRows, cluster: ClusterSection
) -> Iterator[tuple[ColumnNeighbours, ColumnNeighbours]]:
    """Search the first `sizes[0]` of `vectors` (n, d), then the first `sizes[1]`, …: what each sample holds, alone and
    together with all judged rows."""
    task = ray.remote(num_cpus=cluster.cpus_per_worker, num_gpus=cluster.gpus_per_worker)(search_rows)
    spec_reference = ray.put(spec)
    judged_task = task.remote(spec_reference, judged.row_numbers, judged.vectors)
    numbers = np.arange(len(vectors), dtype=np.int64)
    tasks_of_samples = [
        [
            task.remote(spec_reference, numbers[rows], vectors[rows])
            for rows in (slice(at, min(at + _CHUNK_ROWS, end)) for at in range(start, end, _CHUNK_ROWS))
        ]
        for start, end in pairwise([0, *sizes])
    ]
    judged_neighbours: ColumnNeighbours = ray.get(judged_task)
    sample: ColumnNeighbours = {}
    for size, tasks in zip(sizes, tasks_of_samples, strict=True):
        for reference in tasks:
            part: ColumnNeighbours = ray.get(reference)
            sample = join_neighbours(sample, part) if sample else part
        outside = {column: _without_sample(near, size) for column, near in judged_neighbours.items()}
        yield sample, join_neighbours(sample, outside)


def _without_sample(near: Neighbours, size: int) -> Neighbours:
    """Neighbours without the rows that the first `size` of the sample hold already."""
    sampled = near.ids < size
    return Neighbours(np.where(sampled, -1, near.ids), np.where(sampled, np.float32(-np.inf), near.similarities))


def extrapolate(samples: Sequence[SampleScores], whole: int) -> list[ColumnScores]:
    """Scores per query for a source of `whole` rows, a set per curve, from those on nested samples, ascending; one
    sample gives its own scores. A score is a weighted sum and may leave [0, 1]: means are what counts."""
    if len(samples) < 2:
        return [{column: dict(by_metric) for column, by_metric in sample.scores.items()} for sample in samples]
    sizes = [sample.rows for sample in samples]
    return [
        {
            column: {
                metric: _weighted([sample.scores[column][metric] for sample in samples], weights)
                for metric in by_metric
            }
            for column, by_metric in samples[-1].scores.items()
        }
        for weights in (curve_weights(sizes, whole, min(degree, len(sizes) - 1)) for degree in CURVES)
    ]


def _weighted(series: Sequence[Scores], weights: Scores) -> Scores:
    """The weighted sum of the scores on each sample, or those on the largest where the sum would lie above."""
    extrapolated: Scores = weights @ np.stack(series)
    return extrapolated if extrapolated.mean() < series[-1].mean() else series[-1]


def curve_weights(sizes: Sequence[int], whole: int, degree: int) -> Scores:
    """Weights (r,) of r values whose sum is, at `whole`, the least-squares polynomial of this degree through them over
    log2 of `sizes` (distinct, more than `degree`)."""
    positions = np.log2(np.asarray(sizes, np.float64) / sizes[-1])
    powers = np.vander([np.log2(whole / sizes[-1])], degree + 1)[0]
    return np.asarray(powers @ np.linalg.pinv(np.vander(positions, degree + 1)))
