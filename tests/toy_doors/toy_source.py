"""A source format in one file: every `*.csv` below a prefix is a shard, vectors are numbers with blanks between."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa

from adaptor.errors import InputError
from jobs.config.sections import QrelsSection, QueriesSection, SourceSection
from jobs.sources.source import Batch, BatchRows, Shard, ShardInfo
from jobs.storage.open import open_objects


class CsvSource:
    """Columns are texts, but for `vector` (float32 lists) and `grade` (integers)."""

    def __init__(self, section: SourceSection | QueriesSection | QrelsSection, setting: str) -> None:
        self.uri, self._setting = section.uri, setting
        self._objects = open_objects(section.uri, section.filesystem)

    def shards(self) -> list[Shard]:
        """Every CSV file."""
        infos = [info for info in self._objects.list() if info.key.endswith(".csv")]
        if not infos:
            raise InputError(f"{self.uri} holds no *.csv file: check {self._setting}.uri")
        return [Shard(info.key, info.size, info.version) for info in infos]

    def snapshot(self) -> str | None:
        """Files have none."""
        return None

    def notes(self) -> list[str]:
        """Nothing to say."""
        return []

    def has(self, key: str) -> bool:
        """Whether there is such a file."""
        return self._objects.stat(key) is not None

    def describe(self, shard: Shard) -> ShardInfo:
        """One row group for each file."""
        table = self._table(shard)
        return ShardInfo(len(table), (len(table),), (shard.size,), table.schema)

    def read(
        self,
        shard: Shard,
        row_groups: Iterable[int],
        batch_rows: BatchRows,
        columns: Sequence[str] | None = None,
        *,
        plain: bool = False,
    ) -> Iterator[Batch]:
        """All of it, in batches."""
        table = self._table(shard).select(columns or self._table(shard).column_names)
        first = 0
        for row_group in row_groups:
            while first < len(table):
                rows = batch_rows() if callable(batch_rows) else batch_rows
                (batch,) = table.slice(first, rows).combine_chunks().to_batches()
                yield Batch(row_group, first, batch)
                first += batch.num_rows

    def check_unchanged(self, shard: Shard) -> None:
        """By version."""
        info = self._objects.stat(shard.key)
        if info is None or info.version != shard.version:
            raise InputError(f"{self.uri}: {shard.key} changed while it was read: run the command again")

    def _table(self, shard: Shard) -> pa.Table:
        rows = list(csv.DictReader(io.StringIO(self._objects.read(shard.key).decode())))
        columns: dict[str, pa.Array] = {}
        for name in rows[0]:
            texts = [row[name] for row in rows]
            if name == "vector":
                columns[name] = pa.array([list(map(float, text.split())) for text in texts], pa.list_(pa.float32()))
            else:
                columns[name] = pa.array(list(map(int, texts)) if name == "grade" else texts)
        return pa.table(columns)
