"""Rows of the source that serve as queries where none are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import ray

from adaptor.artefact import Adaptor
from adaptor.errors import InputError
from adaptor.neighbours import Ids
from adaptor.rows import Floats
from jobs.config.sections import SourceSection
from jobs.search.source_search import SHARD_STRIDE, wrong_lengths
from jobs.sources.sampling import choose_rows, read_rows
from jobs.sources.source import Shard, open_source
from jobs.sources.whole_source import describe_all

#: Row groups that the anchors come from at most: each costs a read.
_ROW_GROUPS = 1024
_SHARDS_PER_TASK = 16


@dataclass(frozen=True)
class SampledQueries:
    """Usable drawn rows in source order: `names` int64 (a,) as the search names them, `ids` as text, `vectors` float32
    (a, d); how many more were drawn but are unusable (`left_out`), and the rows of the whole source."""

    names: Ids
    ids: list[str]
    vectors: Floats
    left_out: int
    source_rows: int


def sample_queries(
    source: SourceSection, shards: list[Shard], adaptor: Adaptor, count: int, seed: int
) -> SampledQueries:
    """Draw about `count` rows uniformly over all shards; the same for any cluster. Unusable rows are left out.

    Raises InputError when fewer than two are usable: similarities are compared between anchors.
    """
    footers = describe_all(source, shards)
    chosen = sorted(choose_rows([f.row_group_rows for f in footers], count, _ROW_GROUPS, seed).items())
    drawn = [(place, shards[place], rows) for place, rows in chosen]
    groups = [drawn[i : i + _SHARDS_PER_TASK] for i in range(0, len(drawn), _SHARDS_PER_TASK)]
    parts: list[_Read] = ray.get([_read_sampled.remote(source, group, adaptor) for group in groups])
    names = np.concatenate([np.empty(0, np.int64), *(part[0] for part in parts)])
    if len(names) < 2:
        raise InputError(f"source {source.uri}: {len(names)} usable rows to serve as queries, at least 2 are needed")
    return SampledQueries(
        names,
        [name for part in parts for name in part[1]],
        np.concatenate([part[2] for part in parts]),
        sum(len(rows) for _, rows in chosen) - len(names),
        sum(f.rows for f in footers),
    )


_Read = tuple[Ids, list[str], Floats]


@ray.remote
def _read_sampled(source: SourceSection, group: Sequence[tuple[int, Shard, Ids]], adaptor: Adaptor) -> _Read:
    opened = open_source(source)
    names: list[Ids] = []
    ids: list[str] = []
    vectors: list[Floats] = []
    for place, shard, rows in group:
        known, found, reasons = read_rows(opened, shard, source, rows, adaptor.input_dim)
        usable = np.ones(len(found), bool)
        usable[list(reasons | wrong_lengths(found, adaptor))] = False
        names.append(rows[usable] + place * SHARD_STRIDE)
        ids += [name for name, kept in zip(known, usable, strict=True) if kept]
        vectors.append(found[usable])
    return np.concatenate(names), ids, np.concatenate(vectors)
