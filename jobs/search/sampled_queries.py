"""Rows of the source that serve as queries where none are given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adaptor.artefact import Adaptor
from adaptor.errors import InputError
from adaptor.rows import Floats, Ids
from jobs.config.sections import SourceSection
from jobs.search.source_search import SHARD_STRIDE, wrong_lengths
from jobs.sources.sampling import choose_rows
from jobs.sources.source import Shard
from jobs.sources.whole_source import describe_all, read_numbered_rows

#: Row groups that the sampled queries come from at most: each costs a read.
_ROW_GROUPS = 1024


@dataclass(frozen=True, kw_only=True)
class SampledQueries:
    """Usable drawn rows in source order: `row_numbers` int64 (a,) as the search has them, `ids` as text, `vectors`
    float32 (a, d); how many more were drawn but are unusable (`left_out`), and the rows of the whole source."""

    row_numbers: Ids
    ids: list[str]
    vectors: Floats
    left_out: int
    source_rows: int


def sample_queries(
    section: SourceSection, shards: list[Shard], adaptor: Adaptor, count: int, seed: int
) -> SampledQueries:
    """Draw about `count` rows uniformly over all shards; the same for any cluster. Unusable rows are left out.

    Raises InputError when fewer than two are usable: similarities are compared between queries.
    """
    infos = describe_all(section, shards)
    drawn = sorted(choose_rows([info.row_group_rows for info in infos], count, _ROW_GROUPS, seed).items())
    numbered = [(shards[position], rows) for position, rows in drawn]
    ids, vectors, reasons = read_numbered_rows(section, numbered, adaptor.input_dim)
    unusable = [*(reasons | wrong_lengths(vectors, adaptor))]
    usable = np.delete(np.arange(len(ids)), unusable)
    if len(usable) < 2:
        raise InputError(f"source {section.uri}: {len(usable)} usable rows to serve as queries, at least 2 are needed")
    row_numbers = np.concatenate([rows + position * SHARD_STRIDE for position, rows in drawn])
    return SampledQueries(
        row_numbers=row_numbers[usable],
        ids=[ids[row] for row in usable],
        vectors=vectors[usable] if unusable else vectors,
        left_out=len(unusable),
        source_rows=sum(info.rows for info in infos),
    )
