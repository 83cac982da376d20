"""Exact search of a whole source by every method and dim at once: what a worker does, and how parts are joined.

1. Each shard is streamed once; rows gather into blocks of a bounded size, the next one while the present is searched.
2. A block is shortened by every method to every dim, and only the best rows of each query are kept, per column.
3. Parts are joined the same way, in any order: rows are named by (shard, row), so ties never depend on the cut.

Memory: two blocks, the short forms of one and the kept rows; it does not grow with the source.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adaptor.artefact import Adaptor, from_files
from adaptor.neighbours import Ids, Neighbours, improve, merge, top_k
from adaptor.rows import Floats
from jobs.compress.row_transform import LENGTH_TOLERANCE
from jobs.config.sections import SourceSection
from jobs.runtime.read_ahead import read_ahead
from jobs.search.methods import ORIGINAL, Column, shorten
from jobs.sources.columns import describe_vectors
from jobs.sources.ids import id_texts
from jobs.sources.source import Shard, Source, open_source
from jobs.sources.vectors import decode

#: A row's name: the shard's place in the list times this, plus its row in the shard. Orders rows as the source does.
SHARD_STRIDE = 1 << 40
#: True neighbours whose full vectors are kept, for the distance to them.
NEAREST = 10

_READ_ROWS = 8192
_BLOCK_BYTES = 64 << 20


@dataclass(frozen=True)
class Search:
    """What a worker is told: `queries` (q, d), the row that each must not find (`exclude`, (q,)), the judged ids."""

    source: SourceSection
    adaptor_files: Mapping[str, bytes]
    dims: tuple[int, ...]
    queries: Floats
    exclude: Ids | None
    judged_ids: tuple[str, ...]
    depth: int


@dataclass(frozen=True)
class Found:
    """What a part of the source holds: per column the best rows of each query, and the facts that scoring needs.

    `near_rows` int64 (u,), ascending, and `near_vectors` float32 (u, d) are the originals of each query's first NEAREST
    true neighbours; `judged` maps an id of the judgments to its rows; `left_out` counts unusable rows by reason; `rows`
    counts all.
    """

    neighbours: dict[Column, Neighbours]
    near_rows: Ids
    near_vectors: Floats
    judged: dict[str, list[int]]
    left_out: Counter[str]
    rows: int


@dataclass(frozen=True)
class _Block:
    """Usable rows, by name and vector, and what was met on the way to them."""

    names: Ids
    vectors: Floats
    judged: dict[str, list[int]]
    left_out: Counter[str]


def search_shards(search: Search, shards: Sequence[tuple[int, Shard]]) -> Found:
    """Search the given shards, each with its place in the source's list. Raises InputError as the reading side does."""
    adaptor = from_files(search.adaptor_files)
    queries = dict(shorten(adaptor, search.queries, search.dims))
    source = open_source(search.source)
    judged_ids = pa.array(search.judged_ids, pa.large_string())
    batches = (
        batch for place, shard in shards for batch in _read(source, place, shard, search.source, (adaptor, judged_ids))
    )
    found = _nothing(search, adaptor, queries)
    for block in read_ahead(_gather(batches, max(1024, _BLOCK_BYTES // (4 * adaptor.input_dim)))):
        found = _look_through(block, found, search, adaptor, queries)
    return found


def join(one: Found, other: Found) -> Found:
    """What both parts hold together; neither order nor grouping changes the result."""
    neighbours = {
        column: merge([near, other.neighbours[column]], near.ids.shape[1]) for column, near in one.neighbours.items()
    }
    return _joined(neighbours, one, other)


def _joined(neighbours: dict[Column, Neighbours], one: Found, other: Found) -> Found:
    judged = {name: list(rows) for name, rows in one.judged.items()}
    for name, rows in other.judged.items():
        judged[name] = sorted(judged.get(name, []) + rows)
    near_rows, near_vectors = _keep_near(
        neighbours, np.concatenate([one.near_rows, other.near_rows]), np.vstack([one.near_vectors, other.near_vectors])
    )
    return Found(neighbours, near_rows, near_vectors, judged, one.left_out + other.left_out, one.rows + other.rows)


def _read(
    source: Source, place: int, shard: Shard, section: SourceSection, known: tuple[Adaptor, pa.Array]
) -> Iterator[_Block]:
    adaptor, judged_ids = known
    info = describe_vectors(source, shard, section)
    first_rows = np.cumsum((0, *info.row_group_rows)) + place * SHARD_STRIDE
    every = range(len(info.row_group_rows))
    for batch in source.read(shard, every, _READ_ROWS, [section.id_column, section.vector_column]):
        ids = id_texts(batch.table.column(section.id_column))
        decoded = decode(batch.table.column(section.vector_column), adaptor.input_dim)
        reasons = {int(row): "null id" for row in np.flatnonzero(pc.is_null(ids))} | decoded.reasons
        reasons = wrong_lengths(decoded.vectors, adaptor) | reasons
        names = np.arange(len(ids), dtype=np.int64) + first_rows[batch.row_group] + batch.first_row
        judged: dict[str, list[int]] = {}
        for row in np.flatnonzero(pc.is_in(ids, judged_ids).to_numpy(zero_copy_only=False)) if len(judged_ids) else ():
            if row not in reasons:
                judged.setdefault(ids[int(row)].as_py(), []).append(int(names[row]))
        usable = np.ones(len(ids), bool)
        usable[list(reasons)] = False
        vectors = decoded.vectors if usable.all() else decoded.vectors[usable]
        yield _Block(names[usable], vectors, judged, Counter(reasons.values()))
    source.check_unchanged(shard)


def wrong_lengths(vectors: Floats, adaptor: Adaptor) -> dict[int, str]:
    """Rows of (n, d) that compress would refuse for their length: too long for float32, or not 1 where it must be."""
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    reasons = {int(row): "overflow" for row in np.flatnonzero(~np.isfinite(lengths))}
    if adaptor.unit_input and adaptor.metric != "cosine":
        off = np.isfinite(lengths) & (np.abs(lengths - 1) > LENGTH_TOLERANCE)
        reasons |= {int(row): "length (expected 1)" for row in np.flatnonzero(off)}
    return reasons


def _gather(batches: Iterator[_Block], block_rows: int) -> Iterator[_Block]:
    """Join batches into blocks of about `block_rows` rows: one large search costs far less than many small ones."""
    waiting: list[_Block] = []
    for batch in batches:
        waiting.append(batch)
        if sum(len(b.names) for b in waiting) >= block_rows:
            yield _concatenate(waiting)
            waiting = []
    if waiting:
        yield _concatenate(waiting)


def _concatenate(blocks: Sequence[_Block]) -> _Block:
    judged: dict[str, list[int]] = {}
    for block in blocks:
        for name, rows in block.judged.items():
            judged.setdefault(name, []).extend(rows)
    left_out = sum((block.left_out for block in blocks), Counter[str]())
    names = np.concatenate([block.names for block in blocks])
    return _Block(names, np.concatenate([block.vectors for block in blocks]), judged, left_out)


def _nothing(search: Search, adaptor: Adaptor, queries: Mapping[Column, Floats]) -> Found:
    """What no rows hold."""
    none, no_ids = np.empty((0, adaptor.input_dim), np.float32), np.empty(0, np.int64)
    metric, depth = search.source.metric, search.depth
    neighbours = {
        column: top_k(asked, none[:, : column.dim], no_ids, depth, metric) for column, asked in queries.items()
    }
    return Found(neighbours, no_ids, none, {}, Counter(), 0)


def _look_through(
    block: _Block, found: Found, search: Search, adaptor: Adaptor, queries: Mapping[Column, Floats]
) -> Found:
    """What was found so far and what the block adds: rows that cannot be among the best any more cost little."""
    neighbours = {
        column: improve(
            found.neighbours[column], queries[column], short, block.names, search.source.metric, search.exclude
        )
        for column, short in shorten(adaptor, block.vectors, search.dims)
    }
    near_rows, near_vectors = _keep_near(neighbours, block.names, block.vectors)
    rows = len(block.names) + block.left_out.total()
    here = Found(neighbours, near_rows, near_vectors, block.judged, block.left_out, rows)
    return _joined(neighbours, found, here)


def _keep_near(neighbours: Mapping[Column, Neighbours], names: Ids, vectors: Floats) -> tuple[Ids, Floats]:
    """Of the rows at hand, those that are among the nearest originals of some query, by ascending name."""
    truth = next(near for column, near in neighbours.items() if column.method == ORIGINAL)
    kept = np.flatnonzero(np.isin(names, truth.ids[:, :NEAREST]))
    kept = kept[np.argsort(names[kept])]
    return names[kept], vectors[kept]
