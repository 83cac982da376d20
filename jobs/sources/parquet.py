"""Plain Parquet files: every one below a prefix is a shard."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from adaptor.errors import InputError
from jobs.config.sections import QrelsSection, QueriesSection, SourceSection
from jobs.sources import parquet_reader
from jobs.sources.file_folder import FileFolder
from jobs.sources.file_kinds import PARQUET
from jobs.sources.source import Batch, BatchRows, Shard, ShardInfo
from jobs.storage.objects import RefusedError


class ParquetSource(FileFolder):
    """The Parquet files below `section.uri`; a `Source`."""

    def __init__(self, section: SourceSection | QueriesSection | QrelsSection, setting: str) -> None:
        super().__init__(section, setting, PARQUET)
        self._fast = isinstance(section, SourceSection) and section.fast_parquet

    def describe(self, shard: Shard) -> ShardInfo:
        """What the footer says. `InputError`: not Parquet, truncated, encrypted."""
        return parquet_reader.read_footer(self.objects, shard.key)

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
        fast = self._fast and not plain
        batches = parquet_reader.read_batches(self.objects, shard.key, row_groups, batch_rows, columns, fast=fast)
        try:
            yield from batches
        except RefusedError:
            raise
        except InputError:
            self.check_unchanged(shard)  # a file that was replaced meanwhile looks damaged
            raise
