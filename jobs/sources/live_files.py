"""What tables of Parquet files share (delta, iceberg): the live files of one snapshot, without their deleted rows, with
the columns of the table's schema."""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from adaptor.errors import InputError, RunError
from jobs.config.sections import QrelsSection, QueriesSection, SourceSection
from jobs.runtime.plural import plural
from jobs.sources import parquet_reader
from jobs.sources.deleted_rows import live_counts, without_deleted
from jobs.sources.file_folder import check_unchanged
from jobs.sources.source import Batch, BatchRows, Shard, ShardInfo
from jobs.sources.table_columns import TableColumn, projected, schema_of
from jobs.sources.vectors import Integers
from jobs.storage.objects import Objects

#: What damaged files of a table make its library raise.
_DAMAGED = (pa.ArrowException, ValueError, KeyError, IndexError, TypeError, EOFError, AttributeError, struct.error)
NO_ROWS: Integers = np.empty(0, np.int64)


@dataclass(frozen=True, kw_only=True)
class LiveFile:
    """A file of a snapshot: its shard, where it lies (`objects`, `key`), the table's `columns` out of a file with some
    schema, and what tells its deleted rows, int64 (n,) ascending (None: it has none)."""

    shard: Shard
    objects: Objects
    key: str
    columns: Callable[[pa.Schema], list[TableColumn]]
    find_deleted: Callable[[], Integers] | None = None

    @cached_property
    def deleted(self) -> Integers:
        """The deleted rows, read at the first use."""
        return NO_ROWS if self.find_deleted is None else self.find_deleted()


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """One state of a table: its `version`, a line that names it, and its live files by the keys of their shards."""

    version: str
    title: str
    files: Mapping[str, LiveFile]


class TableSource(ABC):
    """A `Source` over the live files of one snapshot: that which the section names, or the newest at the first use."""

    def __init__(self, section: SourceSection | QueriesSection | QrelsSection, setting: str) -> None:
        self.uri = section.uri
        self._section, self._setting = section, setting
        self._fast = isinstance(section, SourceSection) and section.fast_parquet

    @abstractmethod
    def _load(self, version: str | None) -> Snapshot:
        """The snapshot of this version; None: the newest. `InputError` when there is no such table or version."""

    @cached_property
    def _snapshot(self) -> Snapshot:
        with self._reading("the table's log"):
            return self._load(self._section.snapshot if isinstance(self._section, SourceSection) else None)

    def snapshot(self) -> str | None:
        """The version that is read."""
        return self._snapshot.version

    def shards(self) -> list[Shard]:
        """The live files, sorted by key. `InputError` when there is none."""
        files = self._snapshot.files
        if not files:
            raise InputError(f"{self.uri} ({self._snapshot.title}) holds no files: check {self._setting}.uri")
        return [files[key].shard for key in sorted(files)]

    def notes(self) -> list[str]:
        """Which snapshot is read."""
        files = self._snapshot.files.values()
        partly = sum(file.find_deleted is not None for file in files)
        rows = f", {partly:,} of them without the rows that were deleted since" if partly else ""
        return [f"{self._snapshot.title} is read: {plural(len(files), 'live files')}{rows}"]

    def has(self, key: str) -> bool:
        """Whether the snapshot has such a file."""
        return key in self._snapshot.files

    def describe(self, shard: Shard) -> ShardInfo:
        """What the footer says, less the deleted rows, with the columns of the table."""
        file = self._file(shard)
        info = parquet_reader.read_footer(file.objects, file.key)
        with self._reading(f"the list of deleted rows of {shard.key}"):
            _ = file.deleted
        if len(file.deleted) and not 0 <= file.deleted[0] <= file.deleted[-1] < info.rows:
            raise InputError(
                f"{self.uri}: {shard.key} has {info.rows} rows, the table says that row {file.deleted[-1]} was "
                "deleted: the table is damaged"
            )
        live = live_counts(info.row_group_starts, file.deleted)
        schema = schema_of(file.columns(info.schema))
        return ShardInfo(sum(live), live, info.row_group_bytes, schema)

    def read(
        self,
        shard: Shard,
        row_groups: Iterable[int],
        batch_rows: BatchRows,
        columns: Sequence[str] | None = None,
        *,
        plain: bool = False,
    ) -> Iterator[Batch]:
        """As `Source.read`; unless `plain`, vectors come straight from their pages where that is proven right."""
        file = self._file(shard)
        info = parquet_reader.read_footer(file.objects, file.key)
        wanted = [column for column in file.columns(info.schema) if columns is None or column.field.name in columns]
        stored = [column.stored for column in wanted if column.stored is not None]
        fast = self._fast and not plain
        batches = parquet_reader.read_batches(file.objects, file.key, row_groups, batch_rows, stored, fast=fast)
        if len(file.deleted):
            batches = without_deleted(batches, info.row_group_starts, file.deleted, batch_rows)
        schema = schema_of(wanted)
        for batch in batches:
            yield Batch(batch.row_group, batch.first_row, projected(batch.table, wanted, schema))

    def check_unchanged(self, shard: Shard) -> None:
        """`InputError` when the file is gone or of another size: files of a table never change."""
        file = self._file(shard)
        check_unchanged(file.objects, Shard(file.key, shard.size, ""))

    @contextmanager
    def _reading(self, what: str) -> Iterator[None]:
        """What the libraries of tables raise, in our words."""
        try:
            yield
        except FileNotFoundError as error:
            raise InputError(
                f"{self.uri}: {what} is not whole, a file of it does not exist (any more): read a newer snapshot "
                f"({error})"
            ) from error
        except OSError as error:
            raise RunError(f"{self.uri}: {what} could not be read: {error}") from error
        except _DAMAGED as error:
            raise InputError(f"{self.uri}: {what} is damaged: {type(error).__name__}: {error}") from error

    def _file(self, shard: Shard) -> LiveFile:
        file = self._snapshot.files.get(shard.key)
        if file is None or file.shard != shard:
            raise InputError(
                f"{self.uri}: {shard.key} is no longer what it was when the table was listed "
                f"({self._snapshot.title} is read now): run the command again"
            )
        return file
