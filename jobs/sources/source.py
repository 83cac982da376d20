"""The first door: a `Source` of vectors, read shard by shard. registry.py lists its formats."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pkgutil import resolve_name
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jobs.config.sections import QrelsSection, QueriesSection, SourceSection
from jobs.sources.registry import SOURCES

#: Shards that a driver describes at a time: small requests that mostly wait.
DESCRIBE_THREADS = 16

#: What every format is seen through; it imports this module.
_VIEW = "jobs.sources.column_view:ColumnView"

#: Rows of a batch: a number, or a function that is called before each batch and may return a smaller one.
BatchRows = int | Callable[[], int]


@dataclass(frozen=True)
class Shard:
    """One piece of a source, mostly a file, as it was listed; `size` in bytes. `version` changes with the content."""

    key: str
    size: int
    version: str


@dataclass(frozen=True)
class ShardInfo:
    """Rows of a shard, rows and uncompressed bytes of each row group (a run of rows that can be read alone), and the
    Arrow schema."""

    rows: int
    row_group_rows: tuple[int, ...]
    row_group_bytes: tuple[int, ...]
    schema: pa.Schema

    @cached_property
    def row_group_starts(self) -> npt.NDArray[np.int64]:
        """Number of the first row of each of the g row groups, and of the row behind the last one, int64 (g + 1,)."""
        return np.cumsum((0, *self.row_group_rows), dtype=np.int64)

    def row_groups_of(self, rows: npt.NDArray[np.int64]) -> list[int]:
        """The row groups that hold these rows, ascending."""
        groups: list[int] = np.unique(np.searchsorted(self.row_group_starts[1:], rows, side="right")).tolist()
        return groups

    def rows_within(self, batch: Batch, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Those of the ascending `rows` that are in the batch, as numbers within the batch."""
        first = self.row_group_starts[batch.row_group] + batch.first_row
        low, high = np.searchsorted(rows, (first, first + batch.table.num_rows))
        within: npt.NDArray[np.int64] = rows[low:high] - first
        return within


@dataclass(frozen=True)
class Batch:
    """Consecutive rows of one row group: `table` has the columns, `first_row` counts within the row group."""

    row_group: int
    first_row: int
    table: pa.RecordBatch


class Source(Protocol):
    """Rows in shards. Made by `open_source` in each process that needs it: it is never pickled.

    Errors: `InputError` names the shard and what is wrong with it, `RunError` is an outage of disk or network.
    """

    uri: str

    def shards(self) -> list[Shard]:
        """Every live shard, sorted by key. `InputError` when there is none."""

    def snapshot(self) -> str | None:
        """The version of a table that is read; None where there are only files."""

    def notes(self) -> list[str]:
        """Lines for the user about the last listing: which snapshot it is of, and what lies there and is not read."""

    def has(self, key: str) -> bool:
        """Whether a shard has this key now, however late listings are."""

    def describe(self, shard: Shard) -> ShardInfo:
        """Rows and schema, whatever the columns are (columns.py judges them)."""

    def read(
        self,
        shard: Shard,
        row_groups: Iterable[int],
        batch_rows: BatchRows,
        columns: Sequence[str] | None = None,
        *,
        plain: bool = False,
    ) -> Iterator[Batch]:
        """Stream the rows of `row_groups` in order, at most `batch_rows` at a time, never across a row group.

        `columns` None reads all, with their types unchanged. Memory is bounded by the batch, not by the row group.
        `plain` reads in the most careful way, with the least memory: after a crash, and to verify.
        """

    def check_unchanged(self, shard: Shard) -> None:
        """`InputError` when the shard is no longer what was listed; call it after reading the last row."""


def open_source(section: SourceSection | QueriesSection | QrelsSection, setting: str = "source") -> Source:
    """Open what the section names, with the columns that it names; cheap, so call it inside every worker. `setting` is
    the section's name."""
    stored: Source = resolve_name(SOURCES[section.format])(section, setting)
    view: Source = resolve_name(_VIEW)(stored, section, setting)
    return view
