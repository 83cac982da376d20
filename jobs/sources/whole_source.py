"""What parallel tasks read of a whole source: every footer, or the rows with given ids."""

from __future__ import annotations

from typing import Any

import numpy as np
import ray

from jobs.config.sections import SourceSection
from jobs.sources.columns import describe_vectors
from jobs.sources.ids import id_strings
from jobs.sources.sampling import read_rows
from jobs.sources.source import Shard, ShardInfo, open_source

_SHARDS_PER_TASK = 64


def describe_all(section: SourceSection, shards: list[Shard]) -> list[ShardInfo]:
    """All shards described, in order, by parallel tasks. Raises InputError as `describe_vectors` does."""
    parts = ray.get([_describe.remote(section, group) for group in _groups(shards)])
    return [info for part in parts for info in part]


@ray.remote
def _describe(section: SourceSection, shards: list[Shard]) -> list[ShardInfo]:
    source = open_source(section)
    return [describe_vectors(source, shard, section) for shard in shards]


def read_documents(section: SourceSection, shards: list[Shard], wanted: frozenset[str], dim: int) -> dict[str, Any]:
    """Vectors of the rows with these ids, float32 (d,) by id; unusable and unknown ones are absent. Scans the id
    columns."""
    documents: dict[str, Any] = {}
    reference = ray.put(wanted)
    for part in ray.get([_documents.remote(section, group, reference, dim) for group in _groups(shards)]):
        for name, vector in part.items():
            documents.setdefault(name, vector)
    return documents


@ray.remote
def _documents(section: SourceSection, shards: list[Shard], wanted: frozenset[str], dim: int) -> dict[str, Any]:
    source = open_source(section)
    documents: dict[str, Any] = {}
    for shard in shards:
        groups = range(len(describe_vectors(source, shard, section).row_group_rows))
        rows: list[int] = []
        offset = 0
        for batch in source.read(shard, groups, 65_536, [section.id_column]):
            names = id_strings(batch.table.column(section.id_column))
            rows += [offset + i for i, name in enumerate(names) if name in wanted]
            offset += len(names)
        if rows:
            ids, vectors, reasons = read_rows(source, shard, section, np.array(rows, np.int64), dim)
            documents |= {ids[i]: vectors[i] for i in range(len(vectors)) if i not in reasons}
    return documents


def _groups(shards: list[Shard]) -> list[list[Shard]]:
    return [shards[i : i + _SHARDS_PER_TASK] for i in range(0, len(shards), _SHARDS_PER_TASK)]
