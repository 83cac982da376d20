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
from adaptor.pca import Moments, merge_moments, moments
from adaptor.rows import Floats, Ids
from jobs.config.fit import FitConfig
from jobs.config.sections import SourceSection
from jobs.sources.sampling import choose_rows, read_rows
from jobs.sources.source import Shard, ShardInfo, open_source

#: Rows that one task reads, at least: enough that its vectors outweigh its second moment (d × d float64) four times.
_TASK_ROWS, _TASK_ROWS_PER_DIM = 8192, 8
_FEWEST_ROWS = 20


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The usable sampled rows in source order: `vectors` float32 (n, d), their ids as text, moments of the blocks
    merged; `left_out` names the unusable rows."""

    ids: list[str]
    vectors: Floats
    moments: Moments
    left_out: list[str]
    source_rows: int


@dataclass(frozen=True, kw_only=True)
class _Block:
    ids: list[str]
    vectors: Floats
    moments: Moments | None
    left_out: list[str]


def draw(config: FitConfig, shards: list[Shard], infos: list[ShardInfo], input_dim: int) -> Sample:
    """Draw the sample. Raises InputError when a sampled row is unusable and `mining.bad_rows` is `stop`, or too few are
    left."""
    mining = config.mining
    chosen = choose_rows(
        [info.row_group_rows for info in infos], mining.sample_rows, mining.max_row_groups, config.training.seed
    )
    groups = _grouped(shards, chosen, max(_TASK_ROWS, _TASK_ROWS_PER_DIM * input_dim))
    blocks: list[_Block] = ray.get([_read.remote(config.source, group, input_dim) for group in groups])
    left_out = [line for block in blocks for line in block.left_out]
    if left_out and mining.bad_rows == "stop":
        more = f" (and {len(left_out) - 1} more of the sample)" if len(left_out) > 1 else ""
        raise InputError(f"{left_out[0]}{more}; mend the row, or set mining.bad_rows: skip to fit without such rows")
    ids = [name for block in blocks for name in block.ids]
    if len(ids) < _FEWEST_ROWS:
        raise InputError(
            f"source {config.source.uri}: {len(ids)} usable rows in the sample, at least {_FEWEST_ROWS} are needed to "
            "fit"
        )
    return Sample(
        ids=ids,
        vectors=np.concatenate([block.vectors for block in blocks]),
        moments=merge_moments([block.moments for block in blocks if block.moments is not None]),
        left_out=left_out,
        source_rows=sum(info.rows for info in infos),
    )


def _grouped(shards: list[Shard], chosen: dict[int, Ids], rows: int) -> list[list[tuple[Shard, Ids]]]:
    """The shards with their chosen rows, in groups of at least so many rows."""
    groups: list[list[tuple[Shard, Ids]]] = []
    in_group = rows
    for index in sorted(chosen):
        if in_group >= rows:
            groups.append([])
            in_group = 0
        groups[-1].append((shards[index], chosen[index]))
        in_group += len(chosen[index])
    return groups


@ray.remote
def _read(source: SourceSection, group: list[tuple[Shard, Ids]], input_dim: int) -> _Block:
    opened = open_source(source)
    parts: list[Floats] = []
    ids: list[str] = []
    left_out: list[str] = []
    for shard, rows in group:
        names, vectors, reasons = read_rows(opened, shard, source, rows, input_dim)
        usable = np.ones(len(vectors), bool)
        usable[list(reasons)] = False
        parts.append(vectors[usable])
        ids += [name for name, good in zip(names, usable, strict=True) if good]
        left_out += [f"{source.uri}/{shard.key}, row {rows[i]}: {why}" for i, why in sorted(reasons.items())]
    vectors = np.concatenate(parts)
    sums = moments(vectors, source.metric) if len(vectors) else None
    return _Block(ids=ids, vectors=vectors, moments=sums, left_out=left_out)
