"""The sample that fit learns from: drawn uniformly over all shards, in parallel, the same on any cluster.

1. ShardInfos give the rows of each row group. 2. `choose_rows` names the rows. 3. Tasks read them, a group of shards
each, and add up their moments. The groups follow from the source and the seed alone, so sums are added in the same
order everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import ray

from adaptor.errors import InputError
from adaptor.neighbours import Ids
from adaptor.pca import Moments, merge_moments, moments
from adaptor.rows import Floats
from jobs.config.fit import FitConfig
from jobs.config.sections import SourceSection
from jobs.sources.sampling import choose_rows, read_rows
from jobs.sources.source import Shard, ShardInfo, open_source

#: Rows that one task reads, at least: enough that its vectors outweigh its second moment (d × d float64) four times.
_TASK_ROWS, _TASK_ROWS_PER_DIM = 8192, 8
_FEW = 20


@dataclass(frozen=True)
class Sample:
    """The usable sampled rows in source order: `vectors` float32 (n, d), their ids as text, moments of the blocks
    merged; `left_out` names the unusable rows."""

    vectors: Floats
    ids: list[str]
    moments: Moments
    left_out: list[str]
    source_rows: int


@dataclass(frozen=True)
class _Block:
    vectors: Floats
    ids: list[str]
    moments: Moments | None
    left_out: list[str]


def draw(config: FitConfig, shards: list[Shard], footers: list[ShardInfo], input_dim: int) -> Sample:
    """Draw the sample. Raises InputError when a sampled row is unusable and `mining.bad_rows` is `stop`, or too few are
    left."""
    mining = config.mining
    chosen = choose_rows(
        [f.row_group_rows for f in footers], mining.sample_rows, mining.max_row_groups, config.training.seed
    )
    blocks: list[_Block] = ray.get(
        [
            _read.remote(config.source, group, input_dim)
            for group in _grouped(shards, chosen, max(_TASK_ROWS, _TASK_ROWS_PER_DIM * input_dim))
        ]
    )
    left_out = [line for block in blocks for line in block.left_out]
    if left_out and mining.bad_rows == "stop":
        more = f" (and {len(left_out) - 1} more of the sample)" if len(left_out) > 1 else ""
        raise InputError(f"{left_out[0]}{more}; mend the row, or set mining.bad_rows: skip to fit without such rows")
    usable = [block for block in blocks if block.moments is not None]
    rows = sum(len(block.ids) for block in usable)
    if rows < _FEW:
        raise InputError(
            f"source {config.source.uri}: {rows} usable rows in the sample, at least {_FEW} are needed to fit"
        )
    return Sample(
        np.concatenate([block.vectors for block in usable]),
        [name for block in usable for name in block.ids],
        merge_moments([block.moments for block in usable if block.moments is not None]),
        left_out,
        sum(f.rows for f in footers),
    )


def _grouped(shards: list[Shard], chosen: dict[int, Ids], rows: int) -> list[list[tuple[Shard, Ids]]]:
    groups: list[list[tuple[Shard, Ids]]] = []
    held = rows
    for index in sorted(chosen):
        if held >= rows:
            groups.append([])
            held = 0
        groups[-1].append((shards[index], chosen[index]))
        held += len(chosen[index])
    return groups


@ray.remote
def _read(source: SourceSection, group: list[tuple[Shard, Ids]], input_dim: int) -> _Block:
    opened = open_source(source)
    kept: list[Floats] = []
    ids: list[str] = []
    left_out: list[str] = []
    for shard, rows in group:
        names, vectors, reasons = read_rows(opened, shard, source, rows, input_dim)
        good = np.ones(len(vectors), bool)
        good[list(reasons)] = False
        kept.append(vectors[good])
        ids += [name for name, keep in zip(names, good, strict=True) if keep]
        left_out += [f"{source.uri}/{shard.key}, row {rows[i]}: {why}" for i, why in sorted(reasons.items())]
    vectors = np.concatenate(kept)
    return _Block(vectors, ids, moments(vectors, source.metric) if len(vectors) else None, left_out)
