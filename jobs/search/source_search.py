"""Exact search of a whole source by every method and dim at once: what a worker does, and how parts are joined.

1. Each shard is streamed once; rows gather into blocks of a bounded size, the next one while the present is searched.
2. A block is shortened by every method to every dim, and coded; the best rows of each query stay, per column.
3. Parts are joined in any order: rows are numbered by (shard, row), so ties never depend on the cut.

Memory: two blocks, the short vectors of one, and the best rows; it does not grow with the source.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from adaptor.artefact import Adaptor
from adaptor.baselines import ORIGINAL, Column
from adaptor.neighbours import Neighbours, improve, merge, top_k
from adaptor.rows import LENGTH_TOLERANCE, Floats, Ids
from jobs.config.sections import SourceSection
from jobs.runtime.read_ahead import read_ahead
from jobs.search.columns import Columns
from jobs.sources.columns import describe_vectors
from jobs.sources.ids import id_texts
from jobs.sources.source import Shard, Source, open_source
from jobs.sources.vectors import decode

#: A row's number is its shard's position in the list times this, plus its row in the shard.
SHARD_STRIDE = 1 << 40
#: True neighbours whose original vectors a result holds, for the distance to them.
NEAREST = 10

_READ_ROWS = 8192
_BLOCK_BYTES = 64 << 20

ColumnNeighbours = dict[Column, Neighbours]


@dataclass(frozen=True, kw_only=True)
class SearchSpec:
    """What a worker searches for: the `depth` best rows for `queries` (q, d), by all `columns`. No query finds the row
    that `exclude` (q,) names for it. Rows with one of `judged_ids` are noted."""

    source: SourceSection
    columns: Columns
    queries: Floats
    exclude: Ids | None
    judged_ids: tuple[str, ...]
    depth: int

    @property
    def adaptor(self) -> Adaptor:
        """The adaptor that is measured."""
        return self.columns.adaptor


@dataclass(frozen=True, kw_only=True)
class RowBlock:
    """Usable rows: their numbers int64 (n,) and vectors float32 (n, d). Of all `rows` that were read on the way to
    them: the numbers of those with a judged id, by id, and the unusable ones, by reason (`left_out`)."""

    row_numbers: Ids
    vectors: Floats
    rows: int
    judged_rows: Mapping[str, Sequence[int]]
    left_out: Counter[str]


@dataclass(frozen=True, kw_only=True)
class SearchResult(RowBlock):
    """What a part of the source holds: per column the best rows of each query. Its own rows, ascending, are only the
    originals that are among the first NEAREST true neighbours of some query."""

    neighbours: ColumnNeighbours


def search_shards(spec: SearchSpec, shards: Sequence[tuple[int, Shard]]) -> SearchResult:
    """Search shards, each with its position in the source's list. Raises what reading raises (InputError, RunError)."""
    queries = dict(spec.columns.queries(spec.queries))
    source = open_source(spec.source)
    read = (block for position, shard in shards for block in _read(source, position, shard, spec))
    result, metric = _nothing(spec), spec.columns.metric
    for block in read_ahead(_gather(read, max(1024, _BLOCK_BYTES // (4 * spec.adaptor.input_dim)))):
        best = result.neighbours  # rows that cannot be among them any more cost little
        neighbours = {
            column: improve(best[column], queries[column], short, block.row_numbers, metric(column), spec.exclude)
            for column, short in spec.columns.documents(block.vectors)
        }
        result = _result(neighbours, [result, block])
    return result


def search_rows(spec: SearchSpec, row_numbers: Ids, vectors: Floats) -> ColumnNeighbours:
    """Search rows in memory: their numbers int64 (n,) and vectors (n, d); the best rows of each query, per column."""
    queries = dict(spec.columns.queries(spec.queries))
    return {
        column: top_k(queries[column], short, row_numbers, spec.depth, spec.columns.metric(column), spec.exclude)
        for column, short in spec.columns.documents(vectors)
    }


def true_neighbours(neighbours: ColumnNeighbours) -> Neighbours:
    """Those of the original vectors at full dimension."""
    return next(near for column, near in neighbours.items() if column.method == ORIGINAL)


def join_neighbours(one: ColumnNeighbours, other: ColumnNeighbours) -> ColumnNeighbours:
    """The best rows of both parts, per column."""
    return {column: merge([near, other[column]], near.ids.shape[1]) for column, near in one.items()}


def join(one: SearchResult, other: SearchResult) -> SearchResult:
    """What both parts hold together; neither order nor grouping changes the result."""
    return _result(join_neighbours(one.neighbours, other.neighbours), [one, other])


def wrong_lengths(vectors: Floats, adaptor: Adaptor) -> dict[int, str]:
    """Rows of (n, d) that compress would refuse: too long for float32, or not of length 1 where it must be."""
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    reasons = {int(row): "overflow" for row in np.flatnonzero(~np.isfinite(lengths))}
    if adaptor.unit_input and adaptor.metric != "cosine":
        off = np.isfinite(lengths) & (np.abs(lengths - 1) > LENGTH_TOLERANCE)
        reasons |= {int(row): "length (expected 1)" for row in np.flatnonzero(off)}
    return reasons


def _read(source: Source, position: int, shard: Shard, spec: SearchSpec) -> Iterator[RowBlock]:
    section, judged_ids = spec.source, pa.array(spec.judged_ids, pa.large_string())
    info = describe_vectors(source, shard, section)
    first_rows = np.cumsum((0, *info.row_group_rows)) + position * SHARD_STRIDE
    row_groups = range(len(info.row_group_rows))
    for batch in source.read(shard, row_groups, _READ_ROWS, [section.id_column, section.vector_column]):
        ids = id_texts(batch.table.column(section.id_column))
        decoded = decode(batch.table.column(section.vector_column), spec.adaptor.input_dim)
        reasons = {int(row): "null id" for row in np.flatnonzero(pc.is_null(ids))} | decoded.reasons
        reasons = wrong_lengths(decoded.vectors, spec.adaptor) | reasons
        row_numbers = np.arange(len(ids), dtype=np.int64) + first_rows[batch.row_group] + batch.first_row
        usable = np.ones(len(ids), bool)
        usable[list(reasons)] = False
        judged_rows: dict[str, list[int]] = defaultdict(list)
        if len(judged_ids):
            for row in np.flatnonzero(usable & pc.is_in(ids, judged_ids).to_numpy(zero_copy_only=False)):
                judged_rows[ids[int(row)].as_py()].append(int(row_numbers[row]))
        yield RowBlock(
            row_numbers=row_numbers[usable],
            vectors=decoded.vectors if usable.all() else decoded.vectors[usable],
            rows=len(ids),
            judged_rows=judged_rows,
            left_out=Counter(reasons.values()),
        )
    source.check_unchanged(shard)


def _gather(blocks: Iterator[RowBlock], block_rows: int) -> Iterator[RowBlock]:
    """Join blocks into some of about `block_rows` rows: one large search costs far less than many small ones."""
    waiting: list[RowBlock] = []
    for block in blocks:
        waiting.append(block)
        if sum(len(block.row_numbers) for block in waiting) >= block_rows:
            yield _concatenate(waiting)
            waiting = []
    if waiting:
        yield _concatenate(waiting)


def _concatenate(blocks: Sequence[RowBlock]) -> RowBlock:
    judged_rows: dict[str, list[int]] = defaultdict(list)
    for block in blocks:
        for name, rows in block.judged_rows.items():
            judged_rows[name] = sorted([*judged_rows[name], *rows])
    return RowBlock(
        row_numbers=np.concatenate([block.row_numbers for block in blocks]),
        vectors=np.concatenate([block.vectors for block in blocks]),
        rows=sum(block.rows for block in blocks),
        judged_rows=dict(judged_rows),
        left_out=sum((block.left_out for block in blocks), Counter[str]()),
    )


def _nothing(spec: SearchSpec) -> SearchResult:
    """What no rows hold."""
    row_numbers, vectors = np.empty(0, np.int64), np.empty((0, spec.adaptor.input_dim), np.float32)
    block = RowBlock(row_numbers=row_numbers, vectors=vectors, rows=0, judged_rows={}, left_out=Counter())
    return _result(search_rows(spec, row_numbers, vectors), [block])


def _result(neighbours: ColumnNeighbours, blocks: Sequence[RowBlock]) -> SearchResult:
    """The neighbours with those rows of the blocks that are among the nearest originals of some query."""
    nearest = true_neighbours(neighbours).ids[:, :NEAREST]
    joined = _concatenate([_some_rows(block, np.isin(block.row_numbers, nearest)) for block in blocks])
    return SearchResult(neighbours=neighbours, **vars(_some_rows(joined, np.argsort(joined.row_numbers))))


def _some_rows(block: RowBlock, rows: Ids | NDArray[np.bool_]) -> RowBlock:
    return replace(block, row_numbers=block.row_numbers[rows], vectors=block.vectors[rows])
