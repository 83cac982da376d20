"""Parquet: every `*.parquet` below a prefix is a shard."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from adaptor.errors import InputError
from jobs.config.sections import QrelsSection, QueriesSection, SourceSection
from jobs.sources import parquet_reader
from jobs.sources.source import Batch, BatchRows, Shard, ShardInfo
from jobs.storage.open import open_objects


class ParquetSource:
    """The Parquet files below `section.uri`; a `Source`."""

    def __init__(self, section: SourceSection | QueriesSection | QrelsSection, setting: str) -> None:
        self.uri = section.uri
        self._setting = setting
        self._objects = open_objects(section.uri, section.filesystem, single_file=".parquet")
        self._fast = isinstance(section, SourceSection) and section.fast_parquet

    def shards(self) -> list[Shard]:
        """Every `*.parquet` below the prefix, sorted by key, without parts that start with `_` or `.`.

        `InputError` when there is none, and for a name that is not UTF-8: neither Arrow nor JSON take those.
        """
        shards = [Shard(info.key, info.size, info.version) for info in self._objects.list() if is_shard_key(info.key)]
        if not shards:
            raise InputError(
                f"{self.uri} does not exist or holds no *.parquet file "
                f"(files and folders that start with '_' or '.' do not count): check {self._setting}.uri"
            )
        for shard in shards:
            raw = shard.key.encode(errors="surrogateescape")
            if raw.decode(errors="replace") != shard.key:
                raise InputError(f"{self.uri}: the file name {raw!r} is not UTF-8: rename the file")
        return shards

    def has(self, key: str) -> bool:
        """Whether there is a file of this name now."""
        return is_shard_key(key) and self._objects.stat(key) is not None

    def describe(self, shard: Shard) -> ShardInfo:
        """What the footer says. `InputError`: not Parquet, truncated, encrypted."""
        return parquet_reader.read_footer(self._objects, shard.key)

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
        batches = parquet_reader.read_batches(self._objects, shard.key, row_groups, batch_rows, columns, fast=fast)
        try:
            yield from batches
        except InputError:
            self.check_unchanged(shard)  # a file that was replaced meanwhile looks damaged
            raise

    def check_unchanged(self, shard: Shard) -> None:
        """`InputError` when the file has another size or version by now."""
        now = self._objects.stat(shard.key)
        if now is None:
            raise InputError(f"{self.uri}: {shard.key} was removed while it was read: run the command again")
        # Drivers without versions give an empty one: the size alone decides.
        if now.size != shard.size or (shard.version and now.version != shard.version):
            raise InputError(
                f"{self.uri}: {shard.key} changed while it was read (size {shard.size} → {now.size} bytes, "
                f"version {shard.version} → {now.version}): run the command again"
            )


def is_shard_key(key: str) -> bool:
    """Whether an object of this name is a shard."""
    return key.endswith(".parquet") and not any(part.startswith(("_", ".")) for part in key.split("/"))
