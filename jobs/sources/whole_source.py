"""What parallel tasks read of a whole source: every footer, rows by their numbers, or rows by their ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import ray

from adaptor.rows import Floats
from jobs.config.sections import SourceSection
from jobs.sources.columns import describe_vectors
from jobs.sources.ids import id_strings
from jobs.sources.sampling import read_rows
from jobs.sources.source import Shard, ShardInfo, open_source
from jobs.sources.vectors import Integers

_SHARDS_PER_TASK = 64
#: The same where only a few shards have rows to read.
_SHARDS_WITH_ROWS_PER_TASK = 16
#: Rows of a batch of ids alone.
_ID_ROWS = 65_536


def describe_all(section: SourceSection, shards: list[Shard]) -> list[ShardInfo]:
    """All shards described, in order. Raises InputError as `describe_vectors` does."""
    return _by_tasks(_describe, _SHARDS_PER_TASK, shards, section)


def read_numbered_rows(
    section: SourceSection, numbered: Sequence[tuple[Shard, Integers]], dim: int
) -> tuple[list[str], Floats, dict[int, str]]:
    """Rows of some shards by their ascending numbers, in this order; result and errors as of `read_rows`."""
    ids: list[str] = []
    parts: list[Floats] = [np.empty((0, dim), np.float32)]
    reasons: dict[int, str] = {}
    for part_ids, vectors, part_reasons in _by_tasks(_read_rows, _SHARDS_WITH_ROWS_PER_TASK, numbered, section, dim):
        reasons |= {len(ids) + row: reason for row, reason in part_reasons.items()}
        ids += part_ids
        parts.append(vectors)
    return ids, np.concatenate(parts), reasons


def read_documents(section: SourceSection, shards: list[Shard], wanted: frozenset[str], dim: int) -> dict[str, Floats]:
    """Vectors of the rows with these ids, float32 (d,) by id; unusable and unknown ones are absent. Scans all ids."""
    numbered = _by_tasks(_find_rows, _SHARDS_PER_TASK, shards, section, ray.put(wanted))
    ids, vectors, reasons = read_numbered_rows(section, numbered, dim)
    documents: dict[str, Floats] = {}
    for row, name in enumerate(ids):
        if row not in reasons:
            documents.setdefault(name, vectors[row])
    return documents


def _by_tasks(task: Any, per_task: int, parts: Sequence[Any], *arguments: Any) -> list[Any]:
    """The results of `task` for all parts, in order; a task gets `per_task` parts and gives a list."""
    groups = (parts[start : start + per_task] for start in range(0, len(parts), per_task))
    return [result for results in ray.get([task.remote(group, *arguments) for group in groups]) for result in results]


@ray.remote
def _describe(shards: list[Shard], section: SourceSection) -> list[ShardInfo]:
    source = open_source(section)
    return [describe_vectors(source, shard, section) for shard in shards]


@ray.remote
def _read_rows(numbered: Sequence[tuple[Shard, Integers]], section: SourceSection, dim: int) -> list[Any]:
    source = open_source(section)
    return [read_rows(source, shard, section, rows, dim) for shard, rows in numbered]


@ray.remote
def _find_rows(shards: list[Shard], section: SourceSection, wanted: frozenset[str]) -> list[tuple[Shard, Integers]]:
    source = open_source(section)
    numbered: list[tuple[Shard, Integers]] = []
    for shard in shards:
        groups = range(len(describe_vectors(source, shard, section).row_group_rows))
        rows: list[int] = []
        first = 0
        for batch in source.read(shard, groups, _ID_ROWS, [section.id_column]):
            names = id_strings(batch.table.column(section.id_column))
            rows += [row for row, name in enumerate(names, first) if name in wanted]
            first += len(names)
        if rows:
            numbered.append((shard, np.array(rows, np.int64)))
    return numbered
