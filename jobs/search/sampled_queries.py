"""Rows of the source that serve as queries where none are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import ray

from adaptor.artefact import Adaptor
from adaptor.errors import InputError
from adaptor.rows import Floats, Ids
from jobs.config.sections import SourceSection
from jobs.search.source_search import SHARD_STRIDE, wrong_lengths
from jobs.sources.sampling import choose_rows, read_rows
from jobs.sources.source import Shard, open_source
from jobs.sources.whole_source import describe_all

#: Row groups that the sampled queries come from at most: each costs a read.
_ROW_GROUPS = 1024
_SHARDS_PER_TASK = 16


@dataclass(frozen=True, kw_only=True)
class SampledQueries:
    """Usable drawn rows in source order: `row_numbers` int64 (a,) as the search has them, `ids` as text, `vectors`
    float32 (a, d); how many more were drawn but are unusable (`left_out`), and the rows of the whole source."""

    row_numbers: Ids
    ids: list[str]
    vectors: Floats
    left_out: int
    source_rows: int


@dataclass(frozen=True)
class _DrawnRows:
    """Rows of one shard, int64, ascending; `position` is the shard's in the source's list."""

    position: int
    shard: Shard
    rows: Ids


@dataclass(frozen=True)
class _UsableRows:
    """Of the drawn rows of a shard those that are usable."""

    row_numbers: Ids
    ids: list[str]
    vectors: Floats


def sample_queries(
    section: SourceSection, shards: list[Shard], adaptor: Adaptor, count: int, seed: int
) -> SampledQueries:
    """Draw about `count` rows uniformly over all shards; the same for any cluster. Unusable rows are left out.

    Raises InputError when fewer than two are usable: similarities are compared between queries.
    """
    infos = describe_all(section, shards)
    chosen = sorted(choose_rows([info.row_group_rows for info in infos], count, _ROW_GROUPS, seed).items())
    drawn = [_DrawnRows(position, shards[position], rows) for position, rows in chosen]
    groups = [drawn[i : i + _SHARDS_PER_TASK] for i in range(0, len(drawn), _SHARDS_PER_TASK)]
    read = ray.get([_read_drawn.remote(section, group, adaptor) for group in groups])
    parts: list[_UsableRows] = [part for parts in read for part in parts]
    ids = [name for part in parts for name in part.ids]
    if len(ids) < 2:
        raise InputError(f"source {section.uri}: {len(ids)} usable rows to serve as queries, at least 2 are needed")
    return SampledQueries(
        row_numbers=np.concatenate([part.row_numbers for part in parts]),
        ids=ids,
        vectors=np.concatenate([part.vectors for part in parts]),
        left_out=sum(len(part.rows) for part in drawn) - len(ids),
        source_rows=sum(info.rows for info in infos),
    )


@ray.remote
def _read_drawn(section: SourceSection, group: Sequence[_DrawnRows], adaptor: Adaptor) -> list[_UsableRows]:
    source = open_source(section)
    parts = []
    for drawn in group:
        ids, vectors, reasons = read_rows(source, drawn.shard, section, drawn.rows, adaptor.input_dim)
        usable = np.delete(np.arange(len(ids)), [*(reasons | wrong_lengths(vectors, adaptor))])
        row_numbers = drawn.rows[usable] + drawn.position * SHARD_STRIDE
        parts.append(_UsableRows(row_numbers, [ids[row] for row in usable], vectors[usable]))
    return parts
