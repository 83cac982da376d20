"""Outputs of every encoding, read back by the programs that load them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adaptor.rows import Floats
from jobs.encodings.encoding import open_encoding
from jobs.encodings.registry import ENCODINGS
from jobs.outputs.output_format import Layout
from jobs.outputs.parquet import ParquetFormat
from jobs.outputs.schema import short_schema
from tests.jobs.compress.workplace import Workplace

ROWS, DIM = 5, 8
#: Types that Spark 3.5 and 4 read; it has none for the others.
SPARK_TYPES = {
    "float32": "array<float>",
    "int8": "array<tinyint>",
    "int4": "binary",
    "int2": "binary",
    "binary": "binary",
}


@pytest.fixture(params=ENCODINGS)
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, list[Any]]:
    """A file as compress writes it, of every encoding: vectors, ids and a partition-like payload; what its vectors
    are, in lists or bytes."""
    return write(tmp_path / "o", request.param, pa.table({"id": [f"r{row}" for row in range(ROWS)]}))


def write(folder: Path, encoding: str, columns: pa.Table) -> tuple[Path, list[Any]]:
    """The file, and its vectors, of `columns` and a column of short vectors behind them."""
    adaptor = Workplace(folder / "place").set_adaptor(metric="cosine")
    codec = open_encoding(encoding, adaptor, DIM)
    short: Floats = np.random.default_rng(3).normal(size=(ROWS, DIM)).astype(np.float32)
    short /= np.linalg.norm(short, axis=1, keepdims=True)
    wide = columns.append_column("vector", pa.array([[1.0]] * ROWS, pa.list_(pa.float64())))
    schema = short_schema(wide.schema, [("vector", codec.arrow_type)], {"dim": str(DIM)})
    vectors = codec.encode(short)
    arrays = [*(columns[name].combine_chunks() for name in columns.column_names), vectors]
    with ParquetFormat().writer(folder / "a.parquet", schema, Layout(1000, "none", ("vector",))) as writer:
        writer.write(pa.RecordBatch.from_arrays(arrays, schema=schema))
        writer.finish()
    return folder / "a.parquet", vectors.to_pylist()


def plain(values: Any) -> list[Any]:
    """Vectors of any engine as lists of Python numbers, or bytes."""
    return [bytes(value) if isinstance(value, bytes | bytearray) else [float(n) for n in value] for value in values]


def check(found: Any, expected: list[Any]) -> None:
    """The same rows, to the bit."""
    assert plain(found) == plain(expected)


def test_pandas(stored: tuple[Path, list[Any]]) -> None:
    frame = pd.read_parquet(stored[0])
    check(frame["vector"], stored[1])
    assert frame["id"].tolist() == [f"r{row}" for row in range(ROWS)]


def test_duckdb(stored: tuple[Path, list[Any]]) -> None:
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
    rows = duckdb.execute(f"select vector from '{stored[0]}'").fetchall()  # noqa: S608 - our own file
    check([row[0] for row in rows], stored[1])


def test_polars(stored: tuple[Path, list[Any]]) -> None:
    polars = pytest.importorskip("polars", reason="polars is not installed")
    check(polars.read_parquet(stored[0])["vector"].to_list(), stored[1])


def test_delta(stored: tuple[Path, list[Any]], tmp_path: Path) -> None:
    deltalake = pytest.importorskip("deltalake", reason="the extra `delta` is not installed")
    table = pq.read_table(stored[0])
    if table.schema.field("vector").type in (pa.list_(pa.float16(), DIM), pa.list_(pa.uint8(), DIM)):
        pytest.skip("Delta has no such numbers")
    deltalake.write_deltalake(tmp_path / "t", table)
    check(pa.table(deltalake.DeltaTable(tmp_path / "t").to_pyarrow_table())["vector"].to_pylist(), stored[1])


def test_lance(stored: tuple[Path, list[Any]], tmp_path: Path) -> None:
    lance = pytest.importorskip("lance", reason="the extra `lance` is not installed")
    found = lance.write_dataset(pq.read_table(stored[0]), tmp_path / "t").to_table()
    check(found["vector"].to_pylist(), stored[1])


#: py4j leaves its sockets to the garbage collector.
_SOCKETS = pytest.mark.filterwarnings(r"ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    """A session of Spark, of whichever version is installed (the extra `spark35`, or `bench`)."""
    sql = pytest.importorskip("pyspark.sql", reason="pyspark is not installed")
    builder = sql.SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    session = builder.config("spark.driver.bindAddress", "127.0.0.1").getOrCreate()
    yield session
    session.stop()


@_SOCKETS
@pytest.mark.slow  # Spark takes seconds to start
@pytest.mark.parametrize("encoding", SPARK_TYPES)
@pytest.mark.parametrize("source", ["plain", "spark"])
def test_spark(spark: Any, tmp_path: Path, root: Path, encoding: str, source: str) -> None:
    columns = pa.table({"id": [f"r{row}" for row in range(ROWS)]})
    if source == "spark":  # with Spark's own note on the schema, which it believes before the columns
        case = pq.read_table(
            root / "tests" / "data" / "cases" / "spark_double" / "part-0.parquet", coerce_int96_timestamp_unit="us"
        )
        columns = case.slice(0, ROWS).drop_columns(["vector"])
    file, expected = write(tmp_path / "o", encoding, columns)
    frame = spark.read.parquet(str(file.parent / "*.parquet"))
    assert frame.schema["vector"].dataType.simpleString() == SPARK_TYPES[encoding]
    found = {row["id"]: row["vector"] for row in frame.collect()}
    check([found[name] for name in columns["id"].to_pylist()], expected)


@_SOCKETS
@pytest.mark.slow
def test_spark_knows_no_float16(spark: Any, tmp_path: Path) -> None:
    """configs/README.md says so."""
    file, _ = write(tmp_path / "o", "float16", pa.table({"id": [f"r{row}" for row in range(ROWS)]}))
    with pytest.raises(Exception, match=r"(?i)float16|illegal parquet type|FIXED_LEN_BYTE_ARRAY"):
        spark.read.parquet(str(file)).collect()
