"""Vectors written directly are, for every reader, the vectors that pyarrow writes: values, schema, footer, bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adaptor.errors import RunError
from jobs.outputs.parquet import Layout, ShardWriter, short_array
from jobs.sources.fast_parquet import thrift
from tests.jobs.sources.fast_parquet.reading import both_ways
from tests.jobs.sources.parquet_files import vectors


def content(rows: int, dim: int, dtype: str, nullable: bool = True, before: bool = False) -> pa.Table:
    """Short vectors behind an id, with nested payload before or after them, and metadata everywhere."""
    short = short_array(vectors(max(rows, 1), dim)[:rows], dtype)
    nested = pa.array([None if row % 7 == 0 else {"a": [row, None], "b.c": str(row)} for row in range(rows)])
    nested = nested.cast(pa.struct({"a": pa.list_(pa.int64()), "b.c": pa.string()}))
    columns = [
        (pa.field("id", pa.int64(), False), pa.array(range(rows), pa.int64())),
        (pa.field("vector", short.type, nullable, {"PARQUET:field_id": "7"}), short),
        (pa.field("pay.load", nested.type), nested),
        (pa.field("word", pa.string()), pa.array(["a", None, "b"] * rows, pa.string())[:rows]),
    ]
    if before:
        columns = [columns[0], columns[2], columns[1], columns[3]]
    schema = pa.schema([field for field, _ in columns], {"owner": "someone"})
    return pa.table([array for _, array in columns], schema=schema)


def written(path: Path, table: pa.Table, group_rows: int, batch_rows: int, *, directly: bool) -> bytes:
    """A file of `table`, and its bytes."""
    layout = Layout(group_rows, "none", "vector", short_vectors=directly)
    with ShardWriter(path, table.schema, layout) as writer:
        for batch in table.to_batches(batch_rows):
            writer.write(batch)
        assert writer.finish().rows == len(table)
    return path.read_bytes()


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(
    rows=st.integers(0, 60),
    dim=st.integers(1, 40),
    dtype=st.sampled_from(["float16", "float32"]),
    nullable=st.booleans(),
    before=st.booleans(),
    group_rows=st.integers(7, 70),
    page_bytes=st.integers(1, 2000),
)
def test_readers_cannot_tell_who_wrote(
    tmp_path: Path,
    rows: int,
    dim: int,
    dtype: str,
    nullable: bool,
    before: bool,
    group_rows: int,
    page_bytes: int,
) -> None:
    table = content(rows, dim, dtype, nullable, before)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jobs.sources.fast_parquet.writing._PAGE_BYTES", page_bytes)
        directly = written(tmp_path / "ours", table, group_rows, 13, directly=True)
        assert directly == written(tmp_path / "again", table, group_rows, 50, directly=True)
    written(tmp_path / "pyarrow", table, group_rows, 13, directly=False)
    ours, theirs = pq.ParquetFile(tmp_path / "ours"), pq.ParquetFile(tmp_path / "pyarrow")
    read = ours.read()
    read.validate(full=True)
    assert read.equals(table, check_metadata=False)
    assert ours.read(columns=["vector"]).column("vector").equals(table.column("vector"))
    assert ours.schema.equals(theirs.schema)
    assert ours.schema_arrow.equals(theirs.schema_arrow, check_metadata=True)
    assert shape(ours.metadata) == shape(theirs.metadata)


def shape(metadata: pq.FileMetaData) -> list[object]:
    """What a footer says, but for where columns lie and how many bytes their pages take."""
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    vary = {"data_page_offset", "dictionary_page_offset", "total_compressed_size", "total_uncompressed_size"}
    chunks = [group.column(index).to_dict() for group in groups for index in range(group.num_columns)]
    return [
        metadata.num_rows,
        [group.num_rows for group in groups],
        [{name: value for name, value in chunk.items() if name not in vary} for chunk in chunks],
    ]


def test_the_footer_adds_up(tmp_path: Path) -> None:
    body = written(tmp_path / "file", content(50, 8, "float32"), 20, 50, directly=True)
    groups = pq.read_metadata(tmp_path / "file")
    end = 4
    for group in (groups.row_group(index) for index in range(groups.num_row_groups)):
        chunks = [group.column(index) for index in range(group.num_columns)]
        assert group.total_byte_size == sum(chunk.total_uncompressed_size for chunk in chunks)
        end += sum(chunk.total_compressed_size for chunk in chunks)
    assert end == len(body) - 8 - int.from_bytes(body[-8:-4], "little")


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_our_own_reader_reads_it_directly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str) -> None:
    written(tmp_path / "a.parquet", content(150, 12, dtype), 70, 32, directly=True)
    directly, by_pyarrow = both_ways(monkeypatch, tmp_path, 32)
    assert directly.result == by_pyarrow.result
    assert (directly.error, directly.gave_up) == (None, [])


def test_large_pages_and_batches(tmp_path: Path) -> None:
    table = content(30_000, 33, "float32")
    written(tmp_path / "file", table, 25_000, 4096, directly=True)
    assert pq.read_table(tmp_path / "file").equals(table)


def test_nulls_are_refused(tmp_path: Path) -> None:
    table = pa.table({"id": [1, 2], "vector": pa.array([[1.0, 2.0], None], pa.list_(pa.float32(), 2))})
    with pytest.raises(ValueError, match="null among short vectors"):
        written(tmp_path / "file", table, 10, 10, directly=True)


def test_a_full_scratch_disk_is_named() -> None:
    with pytest.raises(RunError, match=r"scratch file /dev/full could not be written .* set TMPDIR"):
        written(Path("/dev/full"), content(20, 3, "float32"), 10, 10, directly=True)


def test_footers_survive_being_parsed(tmp_path: Path) -> None:
    many = pa.table({f"column {index}": pa.array([index * 10**12, -1, None]) for index in range(40)})
    pq.write_table(many, tmp_path / "file", write_statistics=True, sorting_columns=[pq.SortingColumn(3, True)])
    for body in (
        (tmp_path / "file").read_bytes(),
        written(tmp_path / "ours", content(9, 4, "float16"), 5, 9, directly=True),
    ):
        footer = body[-8 - int.from_bytes(body[-8:-4], "little") : -8]
        assert thrift.encode(thrift.parse(footer)) == footer
        with pytest.raises(ValueError, match="too early"):
            thrift.parse(footer[:-1])
        with pytest.raises(ValueError, match="after the end"):
            thrift.parse(footer + b"\0")


def test_values_are_exact(tmp_path: Path) -> None:
    odd = np.array([[-0.0, 1e-45, 3.4e38], [np.float32(1) / 3, -1e-38, 0.0]], np.float32)
    table = pa.table({"id": [1, 2], "vector": short_array(odd, "float32")})
    written(tmp_path / "file", table, 10, 10, directly=True)
    read = pq.read_table(tmp_path / "file").column("vector").combine_chunks().flatten().to_numpy()
    assert read.tobytes() == odd.tobytes()
