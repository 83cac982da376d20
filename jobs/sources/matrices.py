"""npy and fbin: every matrix file below a prefix is a shard. Ids and payload lie in Parquet files beside them, or ids
are row numbers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

import pyarrow as pa

from adaptor.errors import InputError
from jobs.config.sections import QrelsSection, QueriesSection, SourceSection
from jobs.sources import parquet_reader
from jobs.sources.file_folder import FileFolder
from jobs.sources.file_kinds import PARQUET
from jobs.sources.matrix_files import MatrixFile, read_bytes, read_header
from jobs.sources.row_groups import cut, rows_of
from jobs.sources.source import Batch, BatchRows, Shard, ShardInfo


class MatrixSource(FileFolder):
    """The matrix files of one kind below `section.uri`; the vectors are the column that the section names."""

    kind: str

    def __init__(self, section: SourceSection | QueriesSection | QrelsSection, setting: str) -> None:
        super().__init__(section, setting, self.kind)
        if isinstance(section, QrelsSection):
            raise InputError(f"{setting}.format is {section.format}: relevance judgments are a table, give Parquet")
        self._vectors = section.vector_column

    def describe(self, shard: Shard) -> ShardInfo:
        """Rows and dimension of the header, and the columns beside it. `InputError`: damaged, or rows do not agree."""
        matrix = read_header(self.objects, shard.key, shard.size)
        field = pa.field(self._vectors, matrix.arrow_type)
        beside = self._beside(shard)
        if beside is None:
            groups = cut(matrix.rows)
            return ShardInfo(matrix.rows, groups, _bytes(groups, matrix), pa.schema([field]))
        info = parquet_reader.read_footer(beside[0].objects, beside[1].key)
        if info.rows != matrix.rows:
            raise InputError(
                f"{self.uri}: {shard.key} has {matrix.rows:,} rows, {beside[0].uri}: {beside[1].key} has "
                f"{info.rows:,}: files pair in the order of their names"
            )
        if self._vectors in info.schema.names:
            raise InputError(
                f"{beside[0].uri}: {beside[1].key} has a column '{self._vectors}', too: set another "
                f"{self._setting}.vector_column, which names the vectors of the npy file"
            )
        groups = info.row_group_rows
        return ShardInfo(info.rows, groups, _bytes(groups, matrix), info.schema.append(field))

    def read(
        self,
        shard: Shard,
        row_groups: Iterable[int],
        batch_rows: BatchRows,
        columns: Sequence[str] | None = None,
        *,
        plain: bool = False,
    ) -> Iterator[Batch]:
        """As `Source.read`."""
        matrix = read_header(self.objects, shard.key, shard.size)
        beside = self._beside(shard)
        if beside is None:
            yield from self._alone(shard, matrix, row_groups, batch_rows)
            return
        folder, metadata = beside
        info = parquet_reader.read_footer(folder.objects, metadata.key)
        names = info.schema.names if columns is None else [name for name in columns if name != self._vectors]
        wanted = columns is None or self._vectors in columns
        batches = parquet_reader.read_batches(
            folder.objects, metadata.key, row_groups, batch_rows, None if columns is None else names, fast=False
        )
        for batch in batches:
            table = batch.table
            if wanted:
                first = int(info.row_group_starts[batch.row_group]) + batch.first_row
                table = table.append_column(
                    pa.field(self._vectors, matrix.arrow_type), self._read(shard, matrix, first, table.num_rows)
                )
            yield Batch(batch.row_group, batch.first_row, table)

    def check_unchanged(self, shard: Shard) -> None:
        """`InputError` when the file, or the one beside it, has another size or version by now."""
        beside = self._beside(shard)
        version = shard.version if beside is None else str(json.loads(shard.version)[0])
        super().check_unchanged(Shard(shard.key, shard.size, version))
        if beside is not None:
            beside[0].check_unchanged(beside[1])

    def shards(self) -> list[Shard]:
        """The matrix files; a version tells of the Parquet file beside it, too."""
        shards = super().shards()
        if self._metadata is None:
            return shards
        if len(shards) != len(self._metadata_shards):
            raise InputError(
                f"{self.uri} has {len(shards):,} files, {self._metadata.uri} has {len(self._metadata_shards):,}: each "
                "needs one, in the order of their names"
            )
        pairs = zip(shards, self._metadata_shards, strict=True)
        return [
            Shard(one.key, one.size, json.dumps([one.version, two.key, two.size, two.version])) for one, two in pairs
        ]

    def _alone(
        self, shard: Shard, matrix: MatrixFile, row_groups: Iterable[int], batch_rows: BatchRows
    ) -> Iterator[Batch]:
        for group in row_groups:
            start, rows = rows_of(group, matrix.rows)
            first = 0
            while first < rows:
                size = min(batch_rows() if callable(batch_rows) else batch_rows, rows - first)
                column = self._read(shard, matrix, start + first, size)
                yield Batch(group, first, pa.RecordBatch.from_arrays([column], names=[self._vectors]))
                first += size

    def _read(self, shard: Shard, matrix: MatrixFile, first: int, rows: int) -> pa.Array:
        start = matrix.offset + first * matrix.row_bytes
        return matrix.column(read_bytes(self.objects, shard.key, start, rows * matrix.row_bytes))

    @cached_property
    def _metadata(self) -> FileFolder | None:
        section = self._section
        if not isinstance(section, SourceSection) or section.metadata_uri is None:
            return None
        beside = section.model_copy(update={"uri": section.metadata_uri, "files": type(section.files)()})
        return FileFolder(beside, f"{self._setting}.metadata", PARQUET)

    @cached_property
    def _metadata_shards(self) -> list[Shard]:
        return [] if self._metadata is None else self._metadata.shards()

    def _beside(self, shard: Shard) -> tuple[FileFolder, Shard] | None:
        """The Parquet file that the version of the shard names."""
        if self._metadata is None:
            return None
        _, key, size, version = json.loads(shard.version)
        return self._metadata, Shard(key, size, version)


class NpySource(MatrixSource):
    """npy files; a `Source`."""

    kind = "npy"


class BinSource(MatrixSource):
    """fbin, u8bin and i8bin files as of the big-ann benchmarks; a `Source`."""

    kind = "fbin"


def _bytes(groups: Sequence[int], matrix: MatrixFile) -> tuple[int, ...]:
    return tuple(rows * matrix.row_bytes for rows in groups)
