"""Some rows of a source, from shards all over it, read in seconds: runs of rows from the starts of row groups."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from adaptor.errors import InputError
from adaptor.rows import Floats, Ids
from jobs.config.inspect import InspectionSection
from jobs.config.sections import SourceSection
from jobs.sources.columns import describe_vectors, dimension
from jobs.sources.ids import id_strings
from jobs.sources.source import DESCRIBE_THREADS, Shard, ShardInfo, Source
from jobs.sources.vectors import decode


@dataclass(frozen=True, kw_only=True)
class Look:
    """Usable rows: ids as text (None where null), `vectors` float32 (n, d) and the number of the shard of each, int64
    (n,). `rows_seen` with the unusable ones, which are counted by reason; `unreadable` says what is wrong with shards.
    """

    shards: list[Shard]
    described: list[tuple[Shard, ShardInfo]]
    unreadable: list[str]
    dim: int
    ids: list[str | None]
    vectors: Floats
    shard_numbers: Ids
    rows_seen: int
    unusable: Counter[str]

    @property
    def schema(self) -> pa.Schema:
        """That of the first shard looked at."""
        return self.described[0][1].schema

    def estimated_rows(self) -> int:
        """Rows of the source, exact when every shard was looked at, else in proportion to bytes."""
        rows = sum(info.rows for _, info in self.described)
        looked_at = sum(shard.size for shard, _ in self.described)
        total = sum(shard.size for shard in self.shards)
        return rows if len(self.described) == len(self.shards) or not looked_at else round(rows * total / looked_at)


@dataclass(frozen=True)
class _Run:
    """A shard, its number, and its row groups with the rows to take of each."""

    number: int
    shard: Shard
    row_groups: list[tuple[int, int]]


@dataclass
class _Rows:
    ids: list[str | None] = field(default_factory=list)
    vectors: list[Floats] = field(default_factory=list)
    shard_numbers: list[Ids] = field(default_factory=list)
    seen: int = 0
    unusable: Counter[str] = field(default_factory=Counter)


def look(source: Source, section: SourceSection, options: InspectionSection) -> Look:
    """Read some rows. `InputError` when there is no shard, none can be read, or none holds a vector."""
    shards = source.shards()
    draws = random.Random(options.seed)  # noqa: S311 - a sample, not a secret
    drawn = sorted(draws.sample(range(len(shards)), min(options.shards, len(shards))))
    answers = _describe(source, section, [shards[number] for number in drawn])
    described = [
        (shards[number], info) for number, info in zip(drawn, answers, strict=True) if isinstance(info, ShardInfo)
    ]
    unreadable = [str(answer) for answer in answers if isinstance(answer, InputError)]
    if not described:
        raise InputError(unreadable[0])
    dim = dimension(source, section, [shard for shard, _ in described], [info for _, info in described])
    runs = _runs([info for _, info in described], options.sample_rows, draws)
    rows = _Rows()
    for number, groups in runs.items():
        try:
            _read(source, section, _Run(number, described[number][0], groups), dim, rows)
        except InputError as problem:
            unreadable.append(str(problem))
    return Look(
        shards=shards,
        described=described,
        unreadable=unreadable,
        dim=dim,
        ids=rows.ids,
        vectors=np.concatenate([np.empty((0, dim), np.float32), *rows.vectors]),
        shard_numbers=np.concatenate([np.empty(0, np.int64), *rows.shard_numbers]),
        rows_seen=rows.seen,
        unusable=rows.unusable,
    )


def _describe(source: Source, section: SourceSection, shards: Sequence[Shard]) -> list[ShardInfo | InputError]:
    """Each shard described, or what is wrong with it."""

    def describe(shard: Shard) -> ShardInfo | InputError:
        """The shard described, or why it cannot be."""
        try:
            return describe_vectors(source, shard, section)
        except InputError as problem:
            return problem

    with ThreadPoolExecutor(DESCRIBE_THREADS) as threads:
        return list(threads.map(describe, shards))


def _runs(infos: Sequence[ShardInfo], rows: int, draws: random.Random) -> dict[int, list[tuple[int, int]]]:
    """Which row groups to begin and how many rows to take of each, by the number of the shard.

    Every shard gives the same number of rows, from two of its row groups; what small ones lack others give.
    """
    runs: dict[int, list[tuple[int, int]]] = {}
    left, open_shards = rows, sorted(range(len(infos)), key=lambda number: infos[number].rows)
    for place, number in enumerate(open_shards):
        share = -(-left // (len(open_shards) - place))
        counts = infos[number].row_group_rows
        groups = [group for group in range(len(counts)) if counts[group]]
        taken: list[tuple[int, int]] = []
        for group in draws.sample(groups, len(groups)):
            size = min(counts[group], max(1, share // 2) if len(taken) == 0 and len(groups) > 1 else share)
            if share <= 0:
                break
            taken.append((group, size))
            share -= size
        left -= sum(size for _, size in taken)
        if taken:
            runs[number] = sorted(taken)
    return dict(sorted(runs.items()))


def _read(source: Source, section: SourceSection, run: _Run, dim: int, rows: _Rows) -> None:
    """Add the first rows of some row groups of a shard."""
    for group, size in run.row_groups:
        columns = [section.id_column, section.vector_column]
        with closing(source.read(run.shard, [group], size, columns, plain=True)) as batches:  # type: ignore[type-var]
            batch = next(batches, None)
        if batch is None:
            continue
        decoded = decode(batch.table.column(section.vector_column), dim)
        good = np.ones(batch.table.num_rows, bool)
        good[list(decoded.reasons)] = False
        ids = id_strings(batch.table.column(section.id_column))
        rows.ids += [name for name, usable in zip(ids, good, strict=True) if usable]
        rows.vectors.append(decoded.vectors[good])
        rows.shard_numbers.append(np.full(int(good.sum()), run.number, np.int64))
        rows.seen += len(good)
        rows.unusable.update(decoded.reasons.values())
