"""Streaming a shard: order, types, row-group borders, damage, and memory bounded by the batch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adaptor.errors import InputError
from jobs.config.sections import SourceSection
from jobs.sources.source import Batch, Shard, Source, open_source
from jobs.storage.open import open_objects
from tests.jobs.sources.parquet_files import table, vectors, write
from tests.s3_server import S3Server


def _open(folder: Path) -> tuple[Source, Shard]:
    source = open_source(SourceSection(uri=str(folder)))
    return source, source.shards()[0]


def _read(folder: Path, row_groups: range, batch_rows: int, columns: list[str] | None = None) -> list[Batch]:
    source, shard = _open(folder)
    return list(source.read(shard, row_groups, batch_rows, columns))


@pytest.mark.parametrize("batch_rows", [1, 3, 4, 100])
def test_batches_cover_the_row_groups_in_order(tmp_path: Path, batch_rows: int) -> None:
    content = table(10)
    write(tmp_path / "a.parquet", content, row_group_size=4)
    batches = _read(tmp_path, range(3), batch_rows)
    assert pa.Table.from_batches([batch.table for batch in batches]).equals(content)
    assert all(batch.table.num_rows <= batch_rows for batch in batches)
    starts = {0: 0, 1: 4, 2: 8}
    position = 0
    for batch in batches:
        assert starts[batch.row_group] + batch.first_row == position
        assert batch.first_row + batch.table.num_rows <= 4
        position += batch.table.num_rows


def test_some_row_groups_and_columns(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", table(10), row_group_size=4)
    (batch,) = _read(tmp_path, range(1, 2), 100, ["title"])
    assert batch.row_group == 1
    assert batch.table.to_pydict() == {"title": [f"title {row}" for row in range(4, 8)]}


def test_a_file_without_rows(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", table(0))
    groups = pq.ParquetFile(tmp_path / "a.parquet").num_row_groups
    assert _read(tmp_path, range(groups), 10) == []


def test_payload_of_every_type_passes_unchanged(tmp_path: Path) -> None:
    rows = 7
    content = table(rows)
    texts = [None, "a", "b", "a", "", "ü", "a"]
    payload = {
        "dictionary": pa.array(texts).dictionary_encode(),
        "large string": pa.array(texts, pa.large_string()),
        "binary": pa.array([b"\0\xff"] * rows, pa.large_binary()),
        "when": pa.array([0, None, 2, 3, 4, 5, 6], pa.timestamp("us", tz="Europe/Berlin")),
        "decimal": pa.array([None, *range(rows - 1)], pa.decimal128(20, 3)),
        "nested": pa.array([{"a": [1, None], "b": {"c": "x"}}, None, {"a": None, "b": None}, *[{"a": []}] * 4]),
        "large list": pa.array([[1], None, [], [2, 3], [4], [5], [6]], pa.large_list(pa.int16())),
        "map": pa.array([[("k", 1)], None, *[[]] * 5], pa.map_(pa.string(), pa.int32())),
        "dotted.name": pa.array(range(rows), pa.uint8()),
        "time": pa.array([1] * rows, pa.time64("ns")),
        "float16": pa.array(np.arange(rows, dtype=np.float16)),
    }
    for name, column in payload.items():
        content = content.append_column(name, column)
    content = content.replace_schema_metadata({"owner": "someone"})
    write(tmp_path / "a.parquet", content, row_group_size=4)
    batches = _read(tmp_path, range(2), 3)
    assert all(batch.table.schema.equals(content.schema) for batch in batches)
    for name in content.column_names:
        together = [value for batch in batches for value in batch.table.column(name).to_pylist()]
        assert together == content.column(name).to_pylist(), name


def test_damaged_data_names_file_and_row_group(tmp_path: Path) -> None:
    file = write(tmp_path / "a.parquet", table(1000), row_group_size=500, compression="zstd")
    chunk = pq.ParquetFile(file).metadata.row_group(1).column(1)
    content = bytearray(file.read_bytes())
    start = min(offset for offset in (chunk.dictionary_page_offset, chunk.data_page_offset) if offset is not None)
    content[start : start + 200] = b"\xff" * 200
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.parquet, row group 1, after row 0: the data is damaged"):
        _read(tmp_path, range(2), 100)


@pytest.mark.parametrize("plain", [True, False])
def test_too_little_memory_ends_the_reading(tmp_path: Path, plain: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.parquet", table(10), row_group_size=5)
    asked: list[int] = []

    def iter_batches(_: pq.ParquetFile, rows: int, **options: Any) -> Iterator[pa.RecordBatch]:
        asked.append(rows)
        assert len(asked) < 5, "for ever"
        raise pa.ArrowMemoryError("malloc of size 4096 failed")

    source, shard = _open(tmp_path)
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", iter_batches)
    with pytest.raises(InputError, match=r"a\.parquet, row group 0, after row 0: .*too little memory \(malloc of size"):
        list(source.read(shard, range(2), 3, plain=plain))
    assert len(asked) == (1 if plain else 2)


def test_a_replaced_file_is_not_called_damaged(bucket: str, s3: S3Server, tmp_path: Path) -> None:
    objects = open_objects(bucket, s3.options)
    rows = 4_000
    numbers = pa.array(np.arange(rows, dtype=np.float32).repeat(1_000))
    content = pa.table({"vector": pa.FixedSizeListArray.from_arrays(numbers, 1_000)})
    local = write(tmp_path / "a.parquet", content, row_group_size=rows // 2, compression="none", use_dictionary=False)
    objects.put_file("a.parquet", local)
    source = open_source(SourceSection(uri=bucket, filesystem=s3.options))
    (shard,) = source.shards()
    batches = source.read(shard, range(2), 100)
    next(batches)
    objects.put("a.parquet", b"\xff" * shard.size)
    with pytest.raises(InputError, match=r"a\.parquet changed while it was read"):
        list(batches)


def test_streaming_from_s3(bucket: str, s3: S3Server, tmp_path: Path) -> None:
    content = table(3000, dim=64)
    local = write(tmp_path / "a.parquet", content, row_group_size=1000)
    objects = open_objects(f"{bucket}/source", s3.options)
    objects.put_file("part 1/a.parquet", local)
    source = open_source(SourceSection(uri=objects.uri, filesystem=s3.options))
    (shard,) = source.shards()
    batches = list(source.read(shard, range(3), 256))
    assert pa.Table.from_batches([batch.table for batch in batches]).equals(content)


_MEASURE = """
import sys
import tracemalloc
import pyarrow as pa
from jobs.config.sections import SourceSection
from jobs.sources.source import open_source
from jobs.sources.vectors import decode
source = open_source(SourceSection(uri=sys.argv[1]))
def read():
    for batch in source.read(source.shards()[0], range(1), 1000):
        decode(batch.table.column("vector"), 256)
        yield
next(read())  # imports what is imported late
tracemalloc.start()  # numpy tells it of its arrays
for _ in read():
    pass
print(pa.default_memory_pool().max_memory() + tracemalloc.get_traced_memory()[1])
"""


@pytest.mark.parametrize("compression", ["none", "snappy"])
def test_memory_follows_the_batch_not_the_row_group(tmp_path: Path, compression: str) -> None:
    """A row group of 41 MB needs what one of 10 MB needs; a subprocess, because Arrow's peak cannot be reset."""
    peaks = []
    for rows in (10_000, 40_000):
        flat = pa.array(vectors(rows, 256).ravel())
        content = pa.table({"id": np.arange(rows), "vector": pa.FixedSizeListArray.from_arrays(flat, 256)})
        folder = tmp_path / str(rows)
        write(folder / "a.parquet", content, row_group_size=rows, compression=compression)
        root = Path(__file__).resolve().parents[3]
        done = subprocess.run([sys.executable, "-c", _MEASURE, folder], cwd=root, capture_output=True, check=True)
        peaks.append(int(done.stdout))
    assert peaks[1] - peaks[0] < 2_500_000  # the pages of the id column's dictionary, at most 1 MiB, and their copies
    assert peaks[1] < 15_000_000
