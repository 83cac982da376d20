"""Notes about the schema in an output's metadata, and who reads such outputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.outputs.output_format import Layout
from jobs.outputs.parquet import ParquetFormat
from jobs.outputs.quarantine import Quarantine
from jobs.outputs.schema import short_schema
from jobs.outputs.schema_notes import agreeing
from jobs.sources.source import Batch
from tests.jobs.sources.parquet_files import table, vectors

SPARK = b"org.apache.spark.sql.parquet.row.metadata"
DIM = 3


def output(folder: Path, source: pa.Table, number: pa.DataType, fixed: bool = True) -> Path:
    """The source's rows with vectors of DIM numbers, as compress writes them."""
    kind = pa.list_(number, DIM) if fixed else pa.list_(number)
    schema = short_schema(source.schema, [("vector", kind)], {"dim": str(DIM)})
    short = pa.array(vectors(len(source), DIM).astype(number.to_pandas_dtype()).tolist(), kind)
    columns = [short if name == "vector" else source[name].combine_chunks() for name in source.column_names]
    folder.mkdir(exist_ok=True)
    with ParquetFormat().writer(folder / "a.parquet", schema, Layout(1000, "none", ("vector",))) as writer:
        writer.write(pa.RecordBatch.from_arrays(columns, schema=schema))
        writer.finish()
    return folder / "a.parquet"


def notes(file: Path) -> dict[bytes, bytes]:
    return pq.read_schema(file).metadata or {}


@pytest.fixture
def spark_source(root: Path) -> pa.Table:
    """Spark's own file."""
    return pq.read_table(root / "tests" / "data" / "cases" / "spark_double" / "part-0.parquet")


def test_sparks_note_says_what_the_output_holds(tmp_path: Path, spark_source: pa.Table) -> None:
    old = json.loads(spark_source.schema.metadata[SPARK])
    new = json.loads(notes(output(tmp_path, spark_source, pa.float32()))[SPARK])
    assert new["fields"][1]["type"] == {"type": "array", "elementType": "float", "containsNull": True}
    assert new["fields"][1]["metadata"] == old["fields"][1]["metadata"]  # the comment stays
    assert [field for field in new["fields"] if field["name"] != "vector"] == [
        field for field in old["fields"] if field["name"] != "vector"
    ]
    assert notes(output(tmp_path, spark_source, pa.float32()))[b"org.apache.spark.version"] == b"4.3.0"


def test_packed_codes_are_bytes_in_the_notes(spark_source: pa.Table) -> None:
    value = {"dtype": "float64", "_type": "Value"}
    features = {name: {"feature": value, "length": -1, "_type": "List"} for name in spark_source.column_names}
    noted = {**spark_source.schema.metadata, b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    packed = short_schema(spark_source.schema.with_metadata(noted), [("vector", pa.binary(8))], {})
    fields = json.loads(packed.metadata[SPARK])["fields"]
    assert fields[1]["type"] == "binary"
    huggingface = json.loads(packed.metadata[b"huggingface"])["info"]["features"]
    assert huggingface["vector"] == {"dtype": "binary", "_type": "Value"}
    pandas = short_schema(_pandas_source().schema, [("vector", pa.binary(8))], {}).metadata[b"pandas"]
    described = {column["name"]: column["pandas_type"] for column in json.loads(pandas)["columns"]}
    assert described["vector"] == "bytes"
    both = [("vector", pa.binary(8)), ("vector_rescore", pa.list_(pa.int8(), 4))]
    assert SPARK not in short_schema(spark_source.schema, both, {}).metadata


@pytest.mark.parametrize("number", [pa.float16(), pa.uint8()])
def test_sparks_note_goes_where_spark_has_no_such_type(tmp_path: Path, spark_source: pa.Table, number: Any) -> None:
    assert SPARK not in notes(output(tmp_path, spark_source, number))


def test_sparks_note_goes_where_columns_differ(spark_source: pa.Table) -> None:
    assert SPARK not in (agreeing(spark_source.schema.remove(2)).metadata or {})
    assert SPARK not in (agreeing(spark_source.schema.append(pa.field("new", pa.int8()))).metadata or {})


@pytest.mark.parametrize("note", [b"", b"{", b"[]", b'{"fields": 3}', b'{"fields": [{}]}', b"\xff", b"null"])
@pytest.mark.parametrize("key", [SPARK, b"pandas", b"huggingface"])
def test_notes_that_are_none_go(key: bytes, note: bytes) -> None:
    assert agreeing(table(1).schema.with_metadata({key: note, b"mine": b"stays"})).metadata == {b"mine": b"stays"}


def test_ids_that_became_text_are_text_in_the_notes() -> None:
    frame = pd.DataFrame({"id": [1, 2], "vector": [np.zeros(2), np.zeros(2)]})
    schema = pa.Table.from_pandas(frame).schema
    changed = agreeing(schema.set(0, pa.field("id", pa.string())))
    described = json.loads(changed.metadata[b"pandas"])["columns"]
    assert (described[0]["pandas_type"], described[0]["numpy_type"]) == ("unicode", "object")


def test_the_notes_of_avro_and_iceberg_go(tmp_path: Path) -> None:
    source = table(2).replace_schema_metadata({"parquet.avro.schema": "x", "iceberg.schema": "y", "mine": "z"})
    found = notes(output(tmp_path, source, pa.float32()))
    assert {key for key in found if not key.startswith(b"matryoshka")} == {b"mine"}


def test_field_ids_stay_those_of_elements_too(tmp_path: Path) -> None:
    element = pa.field("element", pa.float64(), metadata={"PARQUET:field_id": "7"})
    fields = [pa.field("id", pa.string(), metadata={"PARQUET:field_id": "1"})]
    fields.append(pa.field("vector", pa.list_(element), metadata={"PARQUET:field_id": "2"}))
    source = pa.table([["a"], [[1.0, 2.0]]], schema=pa.schema(fields))
    schema = pq.read_schema(output(tmp_path, source, pa.float16()))
    assert schema.field("vector").metadata == {b"PARQUET:field_id": b"2"}
    assert schema.field("vector").type.value_field.metadata == {b"PARQUET:field_id": b"7"}


def test_the_quarantine_has_columns_that_no_note_names(tmp_path: Path, spark_source: pa.Table) -> None:
    with Quarantine(tmp_path / "q", spark_source.schema, "vector") as quarantine:
        quarantine.add(Batch(0, 0, spark_source.slice(0, 1).to_batches()[0]), {0: "bad"})
        quarantine.finish()
    assert SPARK not in notes(tmp_path / "q")


def _pandas_source() -> pa.Table:
    index = pd.Index([f"k{row}" for row in range(4)], name="key")
    frame = pd.DataFrame({"id": [1, 2, 3, 4], "vector": list(vectors(4, 8).astype(np.float64))}, index=index)
    return pa.Table.from_pandas(frame)


@pytest.mark.parametrize("number", [pa.float32(), pa.float16(), pa.int8()])
@pytest.mark.parametrize("fixed", [True, False])
def test_pandas_reads_it(tmp_path: Path, number: pa.DataType, fixed: bool) -> None:
    file = output(tmp_path, _pandas_source(), number, fixed)
    frame = pd.read_parquet(file)
    assert frame.index.tolist() == ["k0", "k1", "k2", "k3"]
    assert frame["vector"].iloc[1].dtype == number.to_pandas_dtype()
    described = {column["name"]: column for column in json.loads(notes(file)[b"pandas"])["columns"]}
    assert described["vector"]["pandas_type"] == f"list[{np.dtype(number.to_pandas_dtype()).name}]"


@pytest.mark.parametrize("fixed", [True, False])
def test_hugging_faces_note(tmp_path: Path, fixed: bool) -> None:
    value = {"dtype": "float64", "_type": "Value"}
    features = {"id": {"dtype": "string", "_type": "Value"}, "title": {"dtype": "string", "_type": "Value"}}
    features["vector"] = {"feature": value, "length": 4, "_type": "List"}  # type: ignore[dict-item]
    source = table(3).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    found = json.loads(notes(output(tmp_path, source, pa.float16(), fixed))[b"huggingface"])["info"]["features"]
    assert found["vector"] == {
        "feature": {"dtype": "float16", "_type": "Value"},
        "length": DIM if fixed else -1,
        "_type": "List",
    }
    assert b"huggingface" not in (agreeing(source.schema.remove(0)).metadata or {})


@pytest.mark.parametrize("number", [pa.float32(), pa.float16(), pa.int8()])
def test_duckdb_and_polars_read_it(tmp_path: Path, number: pa.DataType) -> None:
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
    polars = pytest.importorskip("polars", reason="polars is not installed")
    file = output(tmp_path, table(5, 8), number)
    expected = vectors(5, DIM).astype(number.to_pandas_dtype()).astype(np.float32)
    rows = duckdb.execute(f"select vector from '{file}'").fetchall()  # noqa: S608 - our own file
    np.testing.assert_array_equal(np.array([row[0] for row in rows], np.float32), expected)
    frame = polars.read_parquet(file)
    np.testing.assert_array_equal(np.array(frame["vector"].to_list(), np.float32), expected)
    assert frame["id"].to_list() == table(5)["id"].to_pylist()


def test_delta_takes_it(tmp_path: Path) -> None:
    deltalake = pytest.importorskip("deltalake", reason="the extra `delta` is not installed")
    file = output(tmp_path / "o", table(5, 8), pa.float32())
    deltalake.write_deltalake(tmp_path / "t", pq.read_table(file))
    found = pa.table(deltalake.DeltaTable(tmp_path / "t").to_pyarrow_table())
    np.testing.assert_array_equal(np.array(found["vector"].to_pylist(), np.float32), vectors(5, DIM))


def test_lance_takes_it(tmp_path: Path) -> None:
    lance = pytest.importorskip("lance", reason="the extra `lance` is not installed")
    file = output(tmp_path / "o", table(5, 8), pa.float16())
    found = lance.write_dataset(pq.read_table(file), tmp_path / "t").to_table()
    assert found.schema.field("vector").type == pa.list_(pa.float16(), DIM)
    np.testing.assert_array_equal(np.array(found["vector"].to_pylist(), np.float16), vectors(5, DIM).astype(np.float16))


def test_iceberg_takes_the_file_itself(tmp_path: Path) -> None:
    pytest.importorskip("pyiceberg", reason="the extra `iceberg` is not installed")
    from pyiceberg.table.sorting import UNSORTED_SORT_ORDER

    from tests.jobs.sources.iceberg_tables import FolderCatalog

    file = output(tmp_path / "o", table(5, 8), pa.float32(), fixed=False)
    catalog = FolderCatalog("test")
    schema = pa.schema([("id", pa.string()), ("vector", pa.list_(pa.float32())), ("title", pa.string())])
    catalog.create(tmp_path / "t", schema, sort_order=UNSORTED_SORT_ORDER)
    catalog.table.add_files([f"file://{file}"])
    found = catalog.table.scan().to_arrow()
    np.testing.assert_array_equal(np.array(found["vector"].to_pylist(), np.float32), vectors(5, DIM))
