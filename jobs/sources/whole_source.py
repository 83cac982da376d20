"""What parallel tasks read of a whole source: every footer, or the rows with given ids."""

from __future__ import annotations

from typing import Any

import numpy as np
import ray

from jobs.config.sections import SourceSection
from jobs.sources.ids import id_strings
from jobs.sources.parquet import Footer, Shard, read_footer
from jobs.sources.sampling import read_rows
from jobs.sources.vectors import read_batches
from jobs.storage.open import open_objects

_SHARDS_PER_TASK = 64


def read_footers(source: SourceSection, shards: list[Shard]) -> list[Footer]:
    """The footers of all shards, in order, read by parallel tasks. Raises InputError as `read_footer` does."""
    return [
        footer for group in ray.get([_footers.remote(source, group) for group in _groups(shards)]) for footer in group
    ]


@ray.remote
def _footers(source: SourceSection, shards: list[Shard]) -> list[Footer]:
    objects = open_objects(source.uri, source.filesystem)
    return [read_footer(objects, shard, source) for shard in shards]


def read_documents(source: SourceSection, shards: list[Shard], wanted: frozenset[str], dim: int) -> dict[str, Any]:
    """Vectors of the rows with these ids, float32 (d,) by id; unusable and unknown ones are absent. Scans the id
    columns."""
    found: dict[str, Any] = {}
    reference = ray.put(wanted)
    for part in ray.get([_documents.remote(source, group, reference, dim) for group in _groups(shards)]):
        for name, vector in part.items():
            found.setdefault(name, vector)
    return found


@ray.remote
def _documents(source: SourceSection, shards: list[Shard], wanted: frozenset[str], dim: int) -> dict[str, Any]:
    objects = open_objects(source.uri, source.filesystem)
    found: dict[str, Any] = {}
    for shard in shards:
        groups = range(len(read_footer(objects, shard, source).row_group_rows))
        places: list[int] = []
        offset = 0
        for batch in read_batches(objects, shard, groups, 65_536, [source.id_column]):
            names = id_strings(batch.table.column(source.id_column))
            places += [offset + i for i, name in enumerate(names) if name in wanted]
            offset += len(names)
        if places:
            ids, vectors, reasons = read_rows(objects, shard, source, np.array(places, np.int64), dim)
            usable = [i for i in range(len(vectors)) if i not in reasons]
            found |= {ids[i]: vectors[i] for i in usable}
    return found


def _groups(shards: list[Shard]) -> list[list[Shard]]:
    return [shards[i : i + _SHARDS_PER_TASK] for i in range(0, len(shards), _SHARDS_PER_TASK)]
