"""Bad rows, missing files, and targets that are down or belong to somebody else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from adaptor.errors import InputError, RunError
from tests.jobs.export.days import Day
from tests.jobs.export.engines import Engine, params
from tests.jobs.export.versions import rows_of

#: An address of each kind where nothing answers.
DEAD = {
    "pgvector": "postgresql://127.0.0.1:9/x",
    "qdrant": "http://127.0.0.1:9",
    "milvus": "http://127.0.0.1:9",
    "redis": "redis://127.0.0.1:9",
}


@pytest.mark.parametrize("engine", params("elasticsearch", "pinecone"), indirect=True)
def test_an_id_that_is_too_long_is_refused_at_its_row(engine: Engine, name: str, tmp_path: Path) -> None:
    day = Day(engine, name, tmp_path)
    day.first["b.parquet"]["é" * 257] = day.first["b.parquet"].pop("doc-92")
    day.maker.commit(day.first)
    message = r"b\.1\.parquet, row 69 \(id 'é+'\): column 'id' has 514 bytes; ids may have 512"
    with pytest.raises(InputError, match=message):
        day.export()


@pytest.mark.parametrize("engine", params("milvus-files", "pinecone", "milvus"), indirect=True)
def test_payload_that_is_too_large_is_refused_at_its_row(engine: Engine, name: str, tmp_path: Path) -> None:
    day = Day(engine, name, tmp_path, payload_types={"title": pa.string(), "small": pa.int64()})
    day.first["b.parquet"]["doc-92"] |= {"title": "x" * 70_000}
    day.maker.commit(day.first)
    with pytest.raises(InputError, match=r"row 2 \(id 'doc-92'\): column 'title' makes .* of 70,\d+ bytes"):
        day.export()


@pytest.mark.parametrize("engine", params("milvus-files", "milvus"), indirect=True)
def test_numbers_beyond_int64_are_refused_at_their_row(engine: Engine, name: str, tmp_path: Path) -> None:
    day = Day(engine, name, tmp_path, id_type=pa.uint64())
    rows = list(rows_of(3, 1).values())
    day.maker.commit({"a.parquet": {5: rows[0], 2**63: rows[1], 7: rows[2]}})
    with pytest.raises(InputError, match=r"row 1 \(id '9223372036854775808'\): column 'id' holds .* INT64"):
        day.export()


@pytest.mark.parametrize("engine", params("pinecone"), indirect=True)
def test_ids_beyond_ascii_are_refused_at_their_row(engine: Engine, name: str, tmp_path: Path) -> None:
    day = Day(engine, name, tmp_path)
    rows = list(rows_of(2, 1).values())
    day.maker.commit({"a.parquet": {"a": rows[0], "ü": rows[1]}})
    with pytest.raises(InputError, match=r"row 1 \(id 'ü'\): column 'id' has other than ASCII characters"):
        day.export()


@pytest.mark.parametrize("engine", params(*DEAD), indirect=True)
def test_a_target_that_is_down_is_a_run_error(engine: Engine, name: str, tmp_path: Path) -> None:
    day = Day(engine, name, tmp_path, "float32")
    day.maker.commit(day.first)
    with pytest.raises(RunError, match=f"{engine.target} at .*127.0.0.1:9.*the same command goes on where this one"):
        day.export(destination={"uri": DEAD[engine.target]})


FOREIGN = ("lancedb", "qdrant", "milvus", "redis", "faiss", "elasticsearch")


@pytest.mark.parametrize("engine", params(*FOREIGN), indirect=True)
def test_a_collection_of_somebody_else_is_left_alone(engine: Engine, name: str, tmp_path: Path) -> None:
    day = Day(engine, name, tmp_path, "float32")
    day.maker.commit(day.first)
    make_foreign(engine, name)
    for replace in (False, True):
        with pytest.raises(InputError, match=r"(not|did not) ma[dk]e.*give another destination\.collection"):
            day.export(replace=replace)


def make_foreign(engine: Any, name: str) -> None:
    """Something of this name that export did not make."""
    if engine.target == "lancedb":
        import lancedb

        lancedb.connect(engine.uri).create_table(name, [{"x": 1}])
    elif engine.target == "qdrant":
        from qdrant_client import models

        with engine.client() as client:
            client.create_collection(name, models.VectorParams(size=2, distance=models.Distance.DOT))
    elif engine.target == "milvus":
        with engine.client() as client:
            client.create_collection(name, dimension=2)
    elif engine.target == "redis":
        with engine.client() as client:
            client.set(name, "mine")
    else:
        folder = Path(engine.uri) / name
        folder.mkdir(parents=True)
        (folder / "mine.txt").write_text("mine")


@pytest.mark.parametrize("engine", params("elasticsearch"), indirect=True)
def test_files_that_are_missing_or_of_other_types_are_named(engine: Engine, name: str, tmp_path: Path) -> None:
    day = Day(engine, name, tmp_path, payload_types={"count": pa.int64()})
    day.maker.commit(day.first)
    path = day.maker.folder / day.maker.files["b.parquet"].path
    content = path.read_bytes()
    path.unlink()
    with pytest.raises(InputError, match=r"data/b\.1\.parquet is missing, the manifest says \d+ bytes"):
        day.export()
    path.write_bytes(content)
    day.export()
    day.check()
    day.maker.payload_types = {"count": pa.string()}
    changed = {key: {**row, "count": "many"} for key, row in day.first["b.parquet"].items()}
    day.maker.commit({"a.parquet": day.first["a.parquet"], "b.parquet": changed})
    with pytest.raises(InputError, match="column 'count' is of type string, in the first file it is int64"):
        day.export()


@pytest.mark.parametrize("engine", params("elasticsearch", "lancedb"), indirect=True)
def test_files_that_store_the_same_values_otherwise_are_one_collection(
    engine: Engine, name: str, tmp_path: Path
) -> None:
    """Writers differ in offsets, dictionaries and names of elements."""
    others = {
        "title": pa.dictionary(pa.int32(), pa.large_string()),
        "tags": pa.large_list(pa.field("element", pa.large_string())),
    }
    day = Day(engine, name, tmp_path, payload_types={"title": pa.string(), "tags": pa.list_(pa.string())})
    day.maker.commit({"a.parquet": day.first["a.parquet"]})
    day.maker.payload_types = others
    day.maker.commit(day.first)
    day.export()
    day.check()
    day.maker.commit(day.second())
    day.export()
    day.check()


UTF8 = pa.array([b"good", b"\xff"] * 20, pa.binary()).view(pa.string())
MAPS = pa.array([[("a", 1)], [("b", 1), ("b", 2)]] * 20, pa.map_(pa.string(), pa.int64()))
TIMES = pa.array([0, 2**50] * 20, pa.timestamp("ms"))


@pytest.mark.parametrize("column", [UTF8, MAPS, TIMES], ids=["no UTF-8", "a key twice", "year 37,000"])
@pytest.mark.parametrize("engine", params("vespa", "pgvector", "qdrant"), indirect=True)
def test_values_that_nothing_can_read_are_refused_at_their_row(
    engine: Engine, column: pa.Array, name: str, tmp_path: Path
) -> None:
    if engine.target == "pgvector" and column is not MAPS:
        pytest.skip("PostgreSQL refuses these itself")
    day = Day(engine, name, tmp_path, engine.encodings[0], payload_types={"odd": column.type})
    rows = rows_of(40, 1)
    table = day.maker.table({key: {**row, "odd": None} for key, row in rows.items()})
    broken = table.set_column(0, "odd", column).cast(day.maker.schema)
    day.maker.table = lambda *_: broken  # type: ignore[method-assign]
    day.maker.commit({"a.parquet": rows})
    with pytest.raises(
        InputError, match=r"a\.1\.parquet, row 1 \(id 'doc-1'\): column 'odd' holds (text|a value) that"
    ):
        day.export()
