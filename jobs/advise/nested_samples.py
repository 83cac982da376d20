"""Search of nested samples of a source, and what their trend says of the whole of it.

A sample is sparser than its source: true neighbours lie farther apart and are easier to keep, distractors are fewer. So
every measure is taken on nested samples (an eighth, a quarter, a half, all of the rows drawn), and two curves through
them, over the logarithm of the rows, are followed up to the size of the source: a straight line and a parabola. A curve
that would rise is not followed: the value on the largest sample stands. Overlaps mostly fall more slowly the more rows
there are, nDCG falls faster: on real sets the line is the lower and cautious one for the former, the parabola for the
latter (tests/benchmarks/sample_size.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import ray

from adaptor.artefact import Adaptor
from adaptor.neighbours import Ids, Neighbours, merge, top_k
from adaptor.rows import Floats
from adaptor.settings import Metric
from cluster.settings import ClusterSection
from jobs.search.methods import Column, shorten
from jobs.search.scoring import DEPTH, Scores

#: Nested samples: each twice as large as the one before.
RUNGS = 4
#: Degrees of the curves that are followed: a straight line and a parabola.
CURVES = (1, 2)
#: Rows below which a sample is too small to be cut further.
_FEWEST = 64
#: Rows of one task: enough that its results (100 rows per query and column) are small beside the work.
_CHUNK_ROWS = 32_768

Scored = Mapping[Column, Mapping[str, Scores]]
Found = dict[Column, Neighbours]


@dataclass(frozen=True)
class Asked:
    """What is searched for: `queries` (q, d), the row that each must not find (`exclude`, (q,)), and how."""

    queries: Floats
    exclude: Ids | None
    adaptor: Adaptor
    dims: tuple[int, ...]
    metric: Metric


def sample_sizes(rows: int, whole: int) -> list[int]:
    """Sizes of the nested samples of `rows` rows drawn from `whole`, ascending; only `rows` when it is all there is."""
    if rows >= whole:
        return [rows]
    sizes = [rows >> step for step in reversed(range(RUNGS))]
    return [size for size in sizes if size >= _FEWEST or size == rows]


def search_nested(
    asked: Asked, vectors: Floats, sizes: Sequence[int], extra: tuple[Ids, Floats], cluster: ClusterSection
) -> Iterator[tuple[Found, Found]]:
    """Search the first `sizes[0]` of `vectors` (n, d), then the first `sizes[1]`, …: what each sample holds, and what
    it holds together with all rows of `extra`.

    Rows are named by their place in `vectors`; `extra` is (names (e,), vectors (e, d)), rows of the sample under their
    place there.
    """
    task = ray.remote(num_cpus=cluster.cpus_per_worker, num_gpus=cluster.gpus_per_worker)(_search)
    told = ray.put(asked)
    beside = task.remote(told, *extra)
    places = np.arange(len(vectors), dtype=np.int64)
    steps = [
        [
            task.remote(told, places[rows], vectors[rows])
            for rows in (slice(at, min(at + _CHUNK_ROWS, end)) for at in range(start, end, _CHUNK_ROWS))
        ]
        for start, end in pairwise([0, *sizes])
    ]
    added: Found = ray.get(beside)
    alone: Found = {}
    for size, step in zip(sizes, steps, strict=True):
        for reference in step:
            alone = _joined(alone, ray.get(reference))
        yield alone, _joined(alone, {column: _beyond(near, size) for column, near in added.items()})


def _search(asked: Asked, names: Ids, vectors: Floats) -> Found:
    queries = dict(shorten(asked.adaptor, asked.queries, asked.dims))
    return {
        column: top_k(queries[column], short, names, DEPTH, asked.metric, asked.exclude)
        for column, short in shorten(asked.adaptor, vectors, asked.dims)
    }


def _joined(one: Found, other: Found) -> Found:
    return {column: merge([one[column], near], DEPTH) if one else near for column, near in other.items()}


def _beyond(near: Neighbours, size: int) -> Neighbours:
    """Neighbours without the rows that the first `size` of the sample hold already."""
    there = near.ids < size
    return Neighbours(np.where(there, -1, near.ids), np.where(there, np.float32(-np.inf), near.similarities))


def extrapolate(steps: Sequence[tuple[int, Scored]], whole: int) -> list[dict[Column, dict[str, Scores]]]:
    """Scores per query for a source of `whole` rows, one set per curve, from those on nested samples: (rows, scores)
    each, ascending.

    A query's carried-over score is a weighted sum of its scores, so it may leave [0, 1]; means are what counts.
    """
    sizes = [rows for rows, _ in steps]
    if len(sizes) == 1:
        return [{column: dict(by_metric) for column, by_metric in steps[-1][1].items()}]
    return [
        {
            column: {
                metric: _followed([scored[column][metric] for _, scored in steps], weights) for metric in by_metric
            }
            for column, by_metric in steps[-1][1].items()
        }
        for weights in (curve_weights(sizes, whole, min(degree, len(sizes) - 1)) for degree in CURVES)
    ]


def _followed(series: Sequence[Scores], weights: Scores) -> Scores:
    """The weighted sum of the scores on each sample, or those on the largest where the sum would lie above."""
    carried: Scores = weights @ np.stack(series)
    return carried if carried.mean() < series[-1].mean() else series[-1]


def curve_weights(sizes: Sequence[int], whole: int, degree: int) -> Scores:
    """Weights (r,) of r values whose sum is, at `whole`, the least-squares polynomial of this degree through them over
    log2 of `sizes` (distinct, more than `degree`)."""
    places = np.log2(np.asarray(sizes, np.float64) / sizes[-1])
    powers = np.vander([np.log2(whole / sizes[-1])], degree + 1)[0]
    return np.asarray(powers @ np.linalg.pinv(np.vander(places, degree + 1)))
