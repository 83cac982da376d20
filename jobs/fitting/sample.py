"""The sample that fit learns from: drawn uniformly over all shards, in parallel, the same on any cluster.

1. Footers give the rows of each row group. 2. `choose_rows` names the rows. 3. Tasks read them, a group of shards each,
and add up their moments. The groups follow from the store and the seed alone, so sums are added in the same order
everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import ray

from adaptor.errors import InputError
from adaptor.neighbours import Ids
from adaptor.pca import Moments, merge_moments, moments
from adaptor.rows import Floats
from jobs.config.commands import FitConfig
from jobs.config.sections import StoreSection
from jobs.store.ids import id_strings
from jobs.store.objects import open_objects
from jobs.store.sampling import choose_rows, read_rows
from jobs.store.shards import Footer, Shard, read_footer
from jobs.store.vectors import read_batches

#: Rows that one task reads, at least: enough that its vectors outweigh its second moment (d × d float64) four times.
_TASK_ROWS, _TASK_ROWS_PER_DIM = 8192, 8
_FOOTERS_PER_TASK = 64
_FEW = 20


@dataclass(frozen=True)
class Sample:
    """The usable sampled rows in store order: `vectors` float32 (n, d), their ids as text, moments of the blocks
    merged; `left_out` names the unusable rows."""

    vectors: Floats
    ids: list[str]
    moments: Moments
    left_out: list[str]
    store_rows: int


@dataclass(frozen=True)
class _Block:
    vectors: Floats
    ids: list[str]
    moments: Moments | None
    left_out: list[str]


def read_footers(store: StoreSection, shards: list[Shard]) -> list[Footer]:
    """The footers of all shards, in order, read by parallel tasks. Raises InputError as `read_footer` does."""
    groups = [shards[i : i + _FOOTERS_PER_TASK] for i in range(0, len(shards), _FOOTERS_PER_TASK)]
    return [footer for group in ray.get([_footers.remote(store, group) for group in groups]) for footer in group]


def draw(config: FitConfig, shards: list[Shard], footers: list[Footer], dim: int) -> Sample:
    """Draw the sample. Raises InputError when a sampled row is unusable and `mining.bad_rows` is `stop`, or too few are
    left."""
    mining = config.mining
    chosen = choose_rows(
        [f.row_group_rows for f in footers], mining.sample_rows, mining.max_row_groups, config.training.seed
    )
    blocks: list[_Block] = ray.get(
        [
            _read.remote(config.store, group, dim)
            for group in _grouped(shards, chosen, max(_TASK_ROWS, _TASK_ROWS_PER_DIM * dim))
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
            f"store {config.store.uri}: {rows} usable rows in the sample, at least {_FEW} are needed to fit"
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
def _footers(store: StoreSection, shards: list[Shard]) -> list[Footer]:
    objects = open_objects(store.uri, store.filesystem)
    return [read_footer(objects, shard, store) for shard in shards]


@ray.remote
def _read(store: StoreSection, group: list[tuple[Shard, Ids]], dim: int) -> _Block:
    objects = open_objects(store.uri, store.filesystem)
    kept: list[Floats] = []
    ids: list[str] = []
    left_out: list[str] = []
    for shard, rows in group:
        names, vectors, reasons = read_rows(objects, shard, store, rows, dim)
        good = np.ones(len(vectors), bool)
        good[list(reasons)] = False
        kept.append(vectors[good])
        ids += [name for name, keep in zip(names, good, strict=True) if keep]
        left_out += [f"{store.uri}/{shard.key}, row {rows[i]}: {why}" for i, why in sorted(reasons.items())]
    vectors = np.concatenate(kept)
    return _Block(vectors, ids, moments(vectors, store.metric) if len(vectors) else None, left_out)


def read_documents(store: StoreSection, shards: list[Shard], wanted: frozenset[str], dim: int) -> dict[str, Any]:
    """Vectors of the rows with these ids, float32 (d,) by id; unusable and unknown ones are absent. Scans the id
    columns."""
    found: dict[str, Any] = {}
    reference = ray.put(wanted)
    groups = [shards[i : i + _FOOTERS_PER_TASK] for i in range(0, len(shards), _FOOTERS_PER_TASK)]
    for part in ray.get([_documents.remote(store, group, reference, dim) for group in groups]):
        for name, vector in part.items():
            found.setdefault(name, vector)
    return found


@ray.remote
def _documents(store: StoreSection, shards: list[Shard], wanted: frozenset[str], dim: int) -> dict[str, Any]:
    objects = open_objects(store.uri, store.filesystem)
    found: dict[str, Any] = {}
    for shard in shards:
        groups = range(len(read_footer(objects, shard, store).row_group_rows))
        places: list[int] = []
        offset = 0
        for batch in read_batches(objects, shard, groups, 65_536, [store.id_column]):
            names = id_strings(batch.table.column(store.id_column))
            places += [offset + i for i, name in enumerate(names) if name in wanted]
            offset += len(names)
        if places:
            ids, vectors, reasons = read_rows(objects, shard, store, np.array(places, np.int64), dim)
            usable = [i for i in range(len(vectors)) if i not in reasons]
            found |= {ids[i]: vectors[i] for i in usable}
    return found
