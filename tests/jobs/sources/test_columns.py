"""Ids and vectors wherever people keep them."""

from __future__ import annotations

import decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from adaptor.errors import InputError
from jobs.config.sections import SourceSection
from jobs.sources.columns import describe_vectors, dimension
from jobs.sources.sampling import read_rows
from jobs.sources.source import Source, open_source
from tests.jobs.sources.parquet_files import table, vectors, write
from tests.jobs.sources.whole import read

ROWS, DIM = 7, 4


def opened(folder: Path, **section: Any) -> Source:
    return open_source(SourceSection(uri=str(folder), **section))


def decoded(folder: Path, **fields: Any) -> tuple[list[str], Any, dict[int, str]]:
    """Ids, vectors and reasons of all rows of the first shard, as every command gets them."""
    section = SourceSection(uri=str(folder), **fields)
    source = open_source(section)
    shard = source.shards()[0]
    info = describe_vectors(source, shard, section)
    read(source)  # in small batches: schema and row numbers hold
    dim = dimension(source, section, [shard], [info])
    return read_rows(source, shard, section, np.arange(info.rows), dim)


def with_vectors(column: pa.Array, **more: pa.Array) -> pa.Table:
    return pa.table({"id": [f"r{row}" for row in range(len(column))], "vector": column, **more})


LISTS = pa.array(list(vectors(ROWS)), pa.list_(pa.float32()))
BF16 = (vectors(ROWS).view(np.uint32) >> 16).astype(np.uint16)
BF16_VALUES = (BF16.astype(np.uint32) << 16).view(np.float32)
FIXED = {"format": "bytes", "dtype": "float32"}


def _strings(kind: pa.DataType) -> pa.Array:
    return pa.array(["[" + ", ".join(map(repr, row)) + "]" for row in vectors(ROWS).tolist()], kind)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()])
def test_vectors_as_text(tmp_path: Path, kind: pa.DataType) -> None:
    write(tmp_path / "a.parquet", with_vectors(_strings(kind)))
    np.testing.assert_array_equal(decoded(tmp_path, vectors={"format": "text"})[1], vectors(ROWS))


def test_texts_that_are_no_vectors_are_bad_rows(tmp_path: Path) -> None:
    texts = [
        " [1, 2e0 ,-3.5]\n",
        "{1,2,3}",
        None,
        "",
        "[1, two, 3]",
        "[1,2]",
        "[]",
        "[1,,3]",
        "[NaN,1,1]",
        "1,2,3",
        "[0,0,0]",
    ]
    write(tmp_path / "a.parquet", with_vectors(pa.array(texts)))
    _, found, reasons = decoded(tmp_path, vectors={"format": "text"})
    assert found[:2].tolist() == [[1, 2, -3.5], [1, 2, 3]]
    assert reasons == {
        2: "null vector",
        3: "no list of numbers: ''",
        4: "no list of numbers: '[1, two, 3]'",
        5: "wrong length 2 (expected 3)",
        6: "wrong length 0 (expected 3)",
        7: "no list of numbers: '[1,,3]'",
        8: "NaN",
        9: "no list of numbers: '1,2,3'",
        10: "zero vector",
    }


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "uint8"])
@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("fixed", [True, False])
def test_vectors_as_bytes(tmp_path: Path, dtype: str, order: str, fixed: bool) -> None:
    numbers = (np.abs(vectors(ROWS)) * 20).astype(dtype)
    raw = [row.astype(numbers.dtype.newbyteorder(">" if order == "big" else "<")).tobytes() for row in numbers]
    kind = pa.binary(len(raw[0])) if fixed else pa.binary()
    write(tmp_path / "a.parquet", with_vectors(pa.array([*raw, None], kind)))
    layout = {"format": "bytes", "dtype": dtype, "byte_order": order}
    _, found, reasons = decoded(tmp_path, vectors=layout)
    np.testing.assert_array_equal(found[:ROWS], numbers.astype(np.float32))
    assert reasons == {ROWS: "null vector"}


def test_bytes_that_are_no_whole_number_of_numbers(tmp_path: Path) -> None:
    good = np.arange(1, 4, dtype="<f4").tobytes()
    write(tmp_path / "a.parquet", with_vectors(pa.array([good, good[:-1], b"", good, good], pa.binary())))
    _, found, reasons = decoded(tmp_path, vectors=FIXED)
    assert found[[0, 3]].tolist() == [[1, 2, 3], [1, 2, 3]]
    assert reasons == {1: "wrong length 0 (expected 3)", 2: "wrong length 0 (expected 3)"}
    write(tmp_path / "a.parquet", with_vectors(pa.array([good[:-1]], pa.binary(11))))
    with pytest.raises(InputError, match=r"column 'vector': its 11 bytes a row are no whole number of float32"):
        decoded(tmp_path, vectors=FIXED)


@pytest.mark.parametrize("kind", [pa.list_(pa.uint16()), pa.list_(pa.int16(), DIM), pa.large_list(pa.uint16())])
def test_bfloat16_in_lists(tmp_path: Path, kind: pa.DataType) -> None:
    numbers = BF16.view(np.int16) if kind.value_type == pa.int16() else BF16
    write(tmp_path / "a.parquet", with_vectors(pa.array([*numbers.tolist(), None], kind)))
    _, found, reasons = decoded(tmp_path, vectors={"dtype": "bfloat16"})
    np.testing.assert_array_equal(found[:ROWS], BF16_VALUES)
    assert reasons == {ROWS: "null vector"}


def test_bfloat16_in_bytes(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", with_vectors(pa.array([row.tobytes() for row in BF16])))
    layout = {"format": "bytes", "dtype": "bfloat16"}
    np.testing.assert_array_equal(decoded(tmp_path, vectors=layout)[1], BF16_VALUES)


@pytest.mark.parametrize("kind", [pa.list_(pa.int8()), pa.list_(pa.uint8(), DIM)])
def test_small_integers_in_lists(tmp_path: Path, kind: pa.DataType) -> None:
    numbers = np.arange(1, 1 + ROWS * DIM).reshape(ROWS, DIM)
    write(tmp_path / "a.parquet", with_vectors(pa.array(numbers.tolist(), kind)))
    np.testing.assert_array_equal(decoded(tmp_path)[1], numbers)


def test_a_list_inside_of_structs(tmp_path: Path) -> None:
    inner = [{"values": row, "model": "m"} for row in LISTS.to_pylist()]
    content = pa.table(
        {"id": [str(row) for row in range(ROWS + 1)], "embedding": [*inner, None], "text": ["t"] * (ROWS + 1)}
    )
    write(tmp_path / "a.parquet", content)
    _, found, reasons = decoded(tmp_path, vector_column="embedding.values")
    np.testing.assert_array_equal(found[:ROWS], vectors(ROWS))
    assert reasons == {ROWS: "null vector"}
    rows = read(opened(tmp_path, vector_column="embedding.values"))
    assert list(rows) == ["id", "embedding", "embedding.values", "text"]
    assert rows["embedding"] == [{"model": "m"}] * ROWS + [None]


def test_a_column_with_dots_in_its_name_comes_before_a_path(tmp_path: Path) -> None:
    other = pa.array([{"b": [9.0]}] * ROWS)
    write(tmp_path / "a.parquet", pa.table({"id": [str(row) for row in range(ROWS)], "a.b": LISTS, "a": other}))
    np.testing.assert_array_equal(decoded(tmp_path, vector_column="a.b")[1], vectors(ROWS))


def test_bigquery_lists_of_structs(root: Path) -> None:
    folder = root / "tests" / "data" / "cases" / "bq_struct"
    with pytest.raises(InputError, match=r"set source.vector_column: vector.list.item"):
        decoded(folder)
    ids, found, reasons = decoded(folder, vector_column="vector.list.item")
    assert (len(ids), found.shape, reasons) == (20, (20, 384), {})
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-4)
    assert list(read(opened(folder, vector_column="vector.list.item"))) == ["id", "vector.list.item"]


def test_what_a_column_could_be_is_said(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", with_vectors(_strings(pa.string())))
    with pytest.raises(InputError, match=r"is of type string: .*set source.vectors.format: text, if they are written"):
        decoded(tmp_path)
    with pytest.raises(InputError, match=r"is of type string: vectors.format: bytes needs binary"):
        decoded(tmp_path, vectors=FIXED)
    write(tmp_path / "a.parquet", with_vectors(pa.array([b"1234"] * ROWS)))
    with pytest.raises(InputError, match=r"is of type binary: .*set source.vectors.format: bytes and source.vectors.d"):
        decoded(tmp_path)
    write(tmp_path / "a.parquet", table(2))
    with pytest.raises(InputError, match=r"vectors.format: text needs strings"):
        decoded(tmp_path, vectors={"format": "text"})


def test_decimal_ids(tmp_path: Path) -> None:
    numbers = pa.array([decimal.Decimal(row + 10**30) for row in range(ROWS)], pa.decimal128(38, 0))
    write(tmp_path / "a.parquet", table(ROWS).set_column(0, "id", numbers))
    assert decoded(tmp_path)[0] == [str(row + 10**30) for row in range(ROWS)]
    write(tmp_path / "a.parquet", table(ROWS).set_column(0, "id", numbers.cast(pa.decimal128(38, 2), safe=False)))
    with pytest.raises(InputError, match=r"is of type decimal128\(38, 2\): ids must be strings"):
        decoded(tmp_path)


def test_duckdb_hugeint_ids_are_refused_with_what_to_do(root: Path) -> None:
    with pytest.raises(
        InputError, match=r"of type double: .*DuckDB's HUGEINT is stored so.*cast it to BIGINT or VARCHAR"
    ):
        decoded(root / "tests" / "data" / "cases" / "duckdb_hugeint")


def test_binary_ids_are_refused_with_what_to_do(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", table(2).set_column(0, "id", pa.array([b"\x01", b"\x02"])))
    with pytest.raises(InputError, match=r"of type binary: .*cast them to UUID, or to text as hex"):
        decoded(tmp_path)


def test_ids_in_structs(tmp_path: Path) -> None:
    content = table(2).drop_columns("id").append_column("meta", pa.array([{"key": "a", "x": 1}, {"key": "b", "x": 2}]))
    write(tmp_path / "a.parquet", content)
    assert decoded(tmp_path, id_column="meta.key")[0] == ["a", "b"]
    assert read(opened(tmp_path, id_column="meta.key"))["meta"] == content["meta"].to_pylist()


def test_ids_from_the_partition_folder(tmp_path: Path) -> None:
    for name in ("7", "a%2Fb", "__HIVE_DEFAULT_PARTITION__"):
        write(tmp_path / f"id={name}" / "part-0.parquet", table(1).drop_columns("id"))
    assert read(opened(tmp_path), columns=["id"])["id"] == ["7", None, "a/b"]
    assert decoded(tmp_path)[0] == ["7"]


def test_a_folder_of_another_column_changes_nothing(tmp_path: Path) -> None:
    content = table(3)
    write(tmp_path / "doc_id=7" / "a.parquet", content.append_column("title", content["title"]))  # twice: payload may
    source = opened(tmp_path)
    (shard,) = source.shards()
    (batch,) = source.read(shard, [0], 10)
    assert batch.table.schema.names == ["id", "vector", "title", "title"]
    assert batch.table.column(0).to_pylist() == content["id"].to_pylist()


def test_row_numbers_as_ids(tmp_path: Path) -> None:
    content = table(ROWS).drop_columns("id")
    write(tmp_path / "x" / "a.parquet", content, row_group_size=3)
    section = {"ids": {"kind": "row_number"}, "id_column": "row"}
    assert decoded(tmp_path, **section)[0] == [f"x/a.parquet:{row}" for row in range(ROWS)]
    source = opened(tmp_path, **section)
    (batch,) = source.read(source.shards()[0], [1], 10, ["row"])  # a row group alone has the same ones
    assert batch.table.to_pydict() == {"row": [f"x/a.parquet:{row}" for row in (3, 4, 5)]}
    with pytest.raises(InputError, match=r"column 'title' is there, but source.ids.kind is row_number"):
        decoded(tmp_path, ids={"kind": "row_number"}, id_column="title")


def test_ids_of_two_types_stop_with_both_files(root: Path) -> None:
    folder = root / "tests" / "data" / "cases" / "evolve_id_type"
    source = opened(folder)
    first, second = source.shards()
    source.describe(first)
    said = r"b\.parquet: column 'id' is of type int64, in a\.parquet it is string: .*source.ids.mixed: text"
    with pytest.raises(InputError, match=said):
        source.describe(second)
    with pytest.raises(InputError, match=said):  # a worker knows the type only
        opened(folder, ids={"type": "string"}).describe(second)
    with pytest.raises(InputError, match=r"a\.parquet: .* is of type string, in source.ids.type it is uuid"):
        opened(folder, ids={"type": "uuid"}).describe(first)
    found = read(opened(folder, ids={"mixed": "text"}, payload_columns=["dt"]))
    assert len(found["id"]) == 40
    assert {type(name) for name in found["id"]} == {str}


def test_ids_stored_as_any_kind_of_string_are_one_type(tmp_path: Path) -> None:
    kinds = [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
    for number, kind in enumerate(kinds):
        write(tmp_path / f"{number}.parquet", table(2).set_column(0, "id", table(2)["id"].cast(kind)))
    source = opened(tmp_path)
    assert [source.describe(shard).rows for shard in source.shards()] == [2] * 4


def test_chosen_payload(tmp_path: Path) -> None:
    content = table(ROWS).append_column("other", LISTS).append_column("n", pa.array(range(ROWS)))
    write(tmp_path / "a.parquet", content)
    assert list(read(opened(tmp_path, payload_columns=["n"]))) == ["id", "vector", "n"]
    assert list(read(opened(tmp_path, payload_columns=[]))) == ["id", "vector"]
    with pytest.raises(
        InputError, match=r"no column 'x'; it has 'id', 'vector', 'title', 'other', 'n': set source.pay"
    ):
        decoded(tmp_path, payload_columns=["x"])
    source = opened(tmp_path)
    source.shards()
    assert source.notes() == [
        "other columns hold vectors, too, and go along at full length: 'other' (source.payload_columns leaves them out)"
    ]


@pytest.mark.parametrize("fields", [{"format": "bytes"}, {"dtype": "float32"}, {"format": "text", "dtype": "bfloat16"}])
def test_layouts_that_make_no_sense(fields: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"format: (bytes|text)"):
        SourceSection.model_validate({"uri": "x", "vectors": fields})
