"""Reading vectors directly gives what pyarrow gives, to the bit, whatever the file holds; it gives up where it must."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from jobs.config.sections import FilesystemOptions
from jobs.sources.fast_parquet.tables import read_directly
from jobs.sources.open_parquet import OpenParquet
from jobs.storage.open import open_objects
from tests.jobs.sources.fast_parquet.reading import both_ways
from tests.jobs.sources.parquet_files import vectors, write

ROWS, DIM = 150, 12
NUMBERS = {"float16": pa.float16(), "float32": pa.float32(), "float64": pa.float64()}
STORED = ["fixed_size_list", "list", "large_list", "required", "tensor"]


def column(numbers: np.ndarray[Any, Any], stored: str) -> tuple[pa.Field, pa.Array]:
    """Vectors (n, d) as a column of the asked type."""
    dim, kind = numbers.shape[1], pa.from_numpy_dtype(numbers.dtype)
    flat = pa.array(numbers.ravel())
    fixed = pa.FixedSizeListArray.from_arrays(flat, dim)
    if stored == "tensor":
        tensor = pa.fixed_shape_tensor(kind, [dim])
        return pa.field("vector", tensor), pa.ExtensionArray.from_storage(tensor, fixed)
    types = {
        "fixed_size_list": fixed.type,
        "list": pa.list_(kind),
        "large_list": pa.large_list(kind),
        "required": pa.list_(pa.field("element", kind, nullable=False)),
    }
    return pa.field("vector", types[stored], stored != "required"), fixed.cast(types[stored])


def shard(folder: Path, numbers: np.ndarray[Any, Any], stored: str, **options: Any) -> Path:
    """A file of vectors between an id and nested payload."""
    field, array = column(numbers, stored)
    rows = len(numbers)
    payload = pa.array([None if row % 7 == 0 else {"a": [row, None], "b.c": str(row)} for row in range(rows)])
    fields = [pa.field("id", pa.int64()), field, pa.field("pay.load", payload.type)]
    content = pa.table([pa.array(range(rows)), array, payload], schema=pa.schema(fields, {"owner": "someone"}))
    return write(folder / "a.parquet", content, **options)


@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize("numbers", NUMBERS)
def test_every_type_is_read_directly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, numbers: str, stored: str
) -> None:
    shard(tmp_path, vectors(ROWS, DIM).astype(numbers), stored, row_group_size=70)
    directly, by_pyarrow = both_ways(monkeypatch, tmp_path, 32)
    assert directly.result == by_pyarrow.result
    assert (directly.error, directly.gave_up) == (None, [])


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("compression", ["none", "snappy", "zstd", "gzip", "brotli", "lz4"])
@pytest.mark.parametrize(
    "encoding", [{"use_dictionary": True}, {}, {"column_encoding": {"vector.list.element": "BYTE_STREAM_SPLIT"}}]
)
def test_every_codec_page_version_and_encoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, compression: str, encoding: dict[str, Any]
) -> None:
    options = {"use_dictionary": False, "compression": compression, "data_page_version": version} | encoding
    # Tiny pages cut lists in two; a small dictionary is left for plain pages in mid chunk.
    options |= {"data_page_size": 300, "write_batch_size": 5, "dictionary_pagesize_limit": 2000}
    shard(tmp_path, np.round(vectors(ROWS, DIM), 1), "list", row_group_size=100, write_page_checksum=True, **options)
    directly, by_pyarrow = both_ways(monkeypatch, tmp_path)
    assert directly.result == by_pyarrow.result
    assert directly.error is None
    assert bool(directly.gave_up) == (compression in ("gzip", "brotli", "lz4"))


@pytest.mark.parametrize("dim", [1, 2, 7, 8, 9, 100, 505, 1024])
def test_any_dimension(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dim: int) -> None:
    shard(tmp_path, vectors(67, dim), "list", write_batch_size=64, data_page_size=5000)
    directly, by_pyarrow = both_ways(monkeypatch, tmp_path, 20, ["vector"])
    assert directly.result == by_pyarrow.result
    assert directly.gave_up == []


def test_only_what_is_asked_for_in_the_order_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shard(tmp_path, vectors(ROWS, DIM), "list")
    for columns in (["vector", "id"], ["id", "vector"], ["pay.load", "vector"]):
        directly, by_pyarrow = both_ways(monkeypatch, tmp_path, 64, columns)
        assert directly.result == by_pyarrow.result
        assert directly.gave_up == []
    directly, by_pyarrow = both_ways(monkeypatch, tmp_path, 64, ["id"])
    assert directly.result == by_pyarrow.result


def test_any_bits_of_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bits = np.random.default_rng(0).integers(0, 2**32, (ROWS, DIM), np.uint32)
    bits[0, :4] = 0x7FC00001, 0xFF800000, 1, 0x80000000  # a NaN with a payload, -infinity, a denormal, -0
    shard(tmp_path, bits.view(np.float32), "fixed_size_list")
    directly, by_pyarrow = both_ways(monkeypatch, tmp_path)
    assert directly.result == by_pyarrow.result
    assert directly.gave_up == []


SPOILT: dict[str, list[Any]] = {
    "a null list": [[1.0, 2.0], None, [3.0, 4.0]],
    "an empty list": [[1.0, 2.0], [], [3.0, 4.0]],
    "a null element": [[1.0, 2.0], [3.0, None], [3.0, 4.0]],
    "a short list": [[1.0, 2.0], [3.0], [3.0, 4.0]],
    "a short and a long list": [[1.0, 2.0], [3.0], [3.0, 4.0, 5.0]],
    "a null, and a long list": [[1.0, 2.0], None, [3.0, 4.0, 5.0]],
    "an empty, and a long list": [[1.0, 2.0], [], [3.0, 4.0, 5.0]],
    "nothing but nulls": [None, None, None],
    "nothing but empty lists": [[], [], []],
    "one number each, one null": [[1.0], [None], [2.0]],
    "one number each, an empty list": [[1.0], [], [2.0]],
}


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("name", SPOILT)
def test_lists_that_are_not_alike_are_left_to_pyarrow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, version: str
) -> None:
    """Also where only the levels of a late page show it: what was read directly until then is not read twice."""
    for before in (0, 100):
        rows = [[1.0] * len(SPOILT[name][0] or ())] * before + SPOILT[name]
        content = pa.table({"id": range(len(rows)), "vector": pa.array(rows, pa.list_(pa.float32()))})
        write(
            tmp_path / "a.parquet", content, write_statistics=False, data_page_version=version, data_page_size=64,
            write_batch_size=8, use_dictionary=False,
        )  # fmt: skip
        directly, by_pyarrow = both_ways(monkeypatch, tmp_path, 30)
        assert directly.result == by_pyarrow.result
        assert directly.error is None
        assert directly.gave_up


def test_columns_whose_names_are_not_clear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lists = pa.array([[1.0, 2.0]] * 9, pa.list_(pa.float32()))
    content = pa.table({"v": pa.array([{"x": 1}] * 9), "v.x": pa.array(range(9)), "vector": lists, "vector.a": lists})
    write(tmp_path / "a.parquet", content)
    directly, by_pyarrow = both_ways(monkeypatch, tmp_path, 4)
    assert directly.result == by_pyarrow.result
    content = pa.table([lists, lists, pa.array(range(9))], names=["vector", "vector", "id"])
    write(tmp_path / "a.parquet", content)
    directly, by_pyarrow = both_ways(monkeypatch, tmp_path, 4)
    assert directly.result == by_pyarrow.result


LISTS = st.lists(st.none() | st.lists(st.none() | st.floats(width=32), min_size=2, max_size=3), max_size=30)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=LISTS, page=st.sampled_from([1, 40, 1 << 20]), version=st.sampled_from(["1.0", "2.0"]))
def test_any_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: list[Any], page: int, version: str) -> None:
    content = pa.table({"vector": pa.array(rows, pa.list_(pa.float32()))})
    write(tmp_path / "a.parquet", content, data_page_size=page, write_batch_size=3, data_page_version=version)
    directly, by_pyarrow = both_ways(monkeypatch, tmp_path, 7)
    # pyarrow 26 loses the row of a file whose only list is cut into pages of one byte: nothing to compare with.
    assume("its pages hold 0 rows" not in str(by_pyarrow.error))
    assert directly.result == by_pyarrow.result


@pytest.mark.parametrize("seed", range(8))
def test_damage_never_gives_other_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Flipped bits in page headers, levels, dictionaries and values: the same rows as pyarrow, or an error as there."""
    chance = random.Random(seed)  # noqa: S311 nothing secret
    file = shard(
        tmp_path, vectors(ROWS, chance.choice([2, DIM])), chance.choice(["list", "fixed_size_list"]),
        compression=chance.choice(["none", "snappy", "zstd"]), data_page_version=chance.choice(["1.0", "2.0"]),
        use_dictionary=chance.random() < 0.5, data_page_size=chance.choice([200, 1 << 20]),
        write_page_checksum=chance.random() < 0.3, write_statistics=chance.random() < 0.5,
    )  # fmt: skip
    chunk = pq.read_metadata(file).row_group(0).column(1)
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    sound = file.read_bytes()
    for _ in range(20):
        spoilt = bytearray(sound)
        for _ in range(chance.choice([1, 1, 3])):
            reach = chance.choice([60, chunk.total_compressed_size])
            spoilt[start + chance.randrange(min(reach, chunk.total_compressed_size))] = chance.randrange(256)
        file.write_bytes(spoilt)
        directly, by_pyarrow = both_ways(monkeypatch, tmp_path, 64, ["vector"])
        assert directly.result == by_pyarrow.result


def test_a_wrong_checksum_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = shard(
        tmp_path, vectors(ROWS, DIM), "list", compression="none", write_page_checksum=True, use_dictionary=False
    )
    chunk = pq.read_metadata(file).row_group(0).column(1)
    content = bytearray(file.read_bytes())
    content[chunk.data_page_offset + chunk.total_compressed_size - 1 - 4 * DIM] ^= 1
    file.write_bytes(content)
    directly, by_pyarrow = both_ways(monkeypatch, tmp_path)
    assert directly.gave_up == ["a page whose checksum is wrong"]
    assert directly.error == by_pyarrow.error
    assert "row group 0, after row 0: the data is damaged" in str(directly.error)


@pytest.mark.parametrize(("block_bytes", "ahead"), [(1 << 20, 0), (1 << 16, 0), (1 << 16, 3), (1000, 1), (8 << 20, 4)])
@pytest.mark.parametrize("compression", ["none", "snappy"])
def test_a_dictionary_outlives_the_pages_behind_it(
    tmp_path: Path, block_bytes: int, ahead: int, compression: str
) -> None:
    # pyarrow's defaults: a dictionary of a megabyte, pages that refer to it, and plain pages once it is full.
    file = shard(tmp_path, vectors(6000, 64), "fixed_size_list", compression=compression)
    objects = open_objects(str(tmp_path), FilesystemOptions())
    with objects.arrow.open_input_file(str(file)) as source, pq.ParquetFile(file) as parquet:
        tables = list(read_directly(OpenParquet(source, parquet, block_bytes, ahead), 0, 1024, None))
    assert pa.Table.from_batches(tables).equals(pq.read_table(file))


@pytest.mark.parametrize(("block_bytes", "ahead"), [(1 << 20, 0), (100, 0), (1000, 3), (70, 1), (1 << 20, 4)])
def test_blocks_of_any_size_read_ahead_or_not(tmp_path: Path, block_bytes: int, ahead: int) -> None:
    file = shard(tmp_path, vectors(ROWS, DIM), "list", data_page_size=500, write_batch_size=8, use_dictionary=False)
    objects = open_objects(str(tmp_path), FilesystemOptions())
    with objects.arrow.open_input_file(str(file)) as source, pq.ParquetFile(file) as parquet:
        tables = list(read_directly(OpenParquet(source, parquet, block_bytes, ahead), 0, 40, None))
    assert pa.Table.from_batches(tables).equals(pq.read_table(file))
