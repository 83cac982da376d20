"""What cannot be exported is told before anything is sent, or at the row, with column and row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from adaptor.errors import InputError, RunError
from jobs.config.export import DestinationSection, ExportConfig
from jobs.config.loader import load
from jobs.export.collection import describe_collection
from jobs.export.command import open_version, run
from jobs.export.registry import TARGETS
from jobs.export.target import open_target
from tests.jobs.export.days import ADAPTOR, Day
from tests.jobs.export.engines import ENGINES, Engine
from tests.jobs.export.versions import VersionMaker, new_adaptor, pointer, rows_of, save

#: An address of each kind where nothing answers.
DEAD = {
    "pgvector": "postgresql://127.0.0.1:9/x",
    "qdrant": "http://127.0.0.1:9",
    "milvus": "http://127.0.0.1:9",
    "redis": "redis://127.0.0.1:9",
}


def described(metric: str = "cosine", schema: pa.Schema | None = None, **changes: Any) -> Any:
    """A collection of one vector column, with changes to the description."""
    description = {
        "adaptor_id": "a" * 64,
        "metric": metric,
        "encoding": "float32",
        "dim": 32,
        "rescore": None,
        "id_column": "id",
        "vector_column": "vector",
    }
    schema = schema or pa.schema([("id", pa.string()), ("vector", pa.list_(pa.float32(), 32)), ("x", pa.int64())])
    return describe_collection("c", description | changes, schema, None)


@pytest.fixture(params=list(TARGETS))
def target(request: pytest.FixtureRequest) -> str:
    """Every target whose library is there."""
    from pkgutil import resolve_name

    try:
        resolve_name(TARGETS[request.param])
    except ModuleNotFoundError as missing:
        pytest.skip(f"{missing.name} is not installed")
    return str(request.param)


def opened(target: str, collection: Any, **destination: Any) -> Any:
    uri = destination.pop("uri", "/nowhere.db")
    return open_target(target, DestinationSection(uri=uri, **destination), collection, ADAPTOR)


def takes(target: str) -> Any:
    from pkgutil import resolve_name

    return resolve_name(TARGETS[target]).takes


def test_each_encoding_is_taken_or_refused_by_name(target: str) -> None:
    for encoding in ("float32", "float16", "int8", "uint8", "int4", "int2", "binary"):
        if encoding in takes(target).encodings:
            continue
        with pytest.raises(InputError, match=rf"{target} cannot hold column 'vector', whose encoding is {encoding}"):
            opened(target, described(encoding=encoding))


def test_more_dims_than_the_engine_holds_are_refused(target: str) -> None:
    for encoding, most in takes(target).encodings.items():
        if most is not None:
            with pytest.raises(InputError, match=rf"{target} holds at most {most:,} dimensions of {encoding}"):
                opened(target, described(encoding=encoding, dim=most + 8))


def test_names_that_the_engine_reserves_are_refused(target: str) -> None:
    for name in takes(target).reserved:
        schema = pa.schema([("id", pa.string()), ("vector", pa.list_(pa.float32(), 32)), (name, pa.int64())])
        with pytest.raises(InputError, match=f"{target} reserves the name '{name.replace('$', '.')}'"):
            opened(target, described(schema=schema))


def test_an_unknown_index_is_refused(target: str) -> None:
    with pytest.raises(InputError, match=f"destination.index is 'best': {target} has {takes(target).indexes[0]}"):
        opened(target, described(), index="best")


def test_a_second_column_is_refused_where_there_is_no_place(target: str) -> None:
    second = {"dim": 16, "encoding": "float32", "column": "better"}
    schema = pa.schema(
        [("id", pa.string()), ("vector", pa.list_(pa.float32(), 32)), ("better", pa.list_(pa.float32(), 16))]
    )
    collection = described(schema=schema, rescore=second)
    if takes(target).rescore:
        assert opened(target, collection)
    else:
        with pytest.raises(InputError, match=f"{target} holds one column of vectors"):
            opened(target, collection)


def test_redis_compares_by_cosine_only_and_uint8_by_euclid() -> None:
    pytest.importorskip("redis")
    with pytest.raises(InputError, match="redis compares by cosine, column 'vector' is to be compared by dot"):
        opened("redis", described("dot"), uri="redis://h")
    pytest.importorskip("qdrant_client")
    with pytest.raises(InputError, match=r"compared by Euclidean distance: that does not rank as .* dot product"):
        opened("qdrant", described("dot", encoding="uint8"))


def test_milvus_lite_takes_float32_only_and_a_file() -> None:
    pytest.importorskip("pymilvus")
    with pytest.raises(InputError, match=r"Milvus Lite \(/x.db\) holds float32 only, column 'vector' is int8"):
        opened("milvus", described(encoding="int8"), uri="/x.db")
    with pytest.raises(InputError, match=r"give http://host:19530, or a file of Milvus Lite"):
        opened("milvus", described(), uri="/x")


@pytest.mark.parametrize("kind", [pa.float64(), pa.binary(), pa.decimal128(9, 2)])
def test_ids_of_other_types_are_refused(kind: pa.DataType) -> None:
    with pytest.raises(InputError, match=r"ids in column 'id' are of type .*must be text, integers or UUIDs"):
        described(schema=pa.schema([("id", kind), ("vector", pa.list_(pa.float32(), 32))]))


@pytest.mark.parametrize(
    "kind", [pa.month_day_nano_interval(), pa.dense_union([pa.field("a", pa.int32())])], ids=["interval", "union"]
)
@pytest.mark.parametrize("name", ["elasticsearch", "vespa", "pinecone", "milvus-files"])
def test_payload_that_has_no_form_in_json_is_refused(name: str, kind: pa.DataType) -> None:
    schema = pa.schema([("id", pa.string()), ("vector", pa.list_(pa.float32(), 32)), ("odd", pa.list_(kind))])
    if name == "milvus-files":
        pytest.importorskip("pymilvus")
    with pytest.raises(InputError, match=r"column 'odd' is of type .*, which JSON cannot hold: leave it out"):
        opened(name, described(schema=schema))


@pytest.mark.parametrize("payload", [["nothing"], ["id"], ["vector"]])
def test_payload_names_are_checked(payload: list[str]) -> None:
    schema = pa.schema([("id", pa.string()), ("vector", pa.list_(pa.float32(), 32))])
    with pytest.raises(InputError, match=r"the output has no column 'nothing'|which is the id or a vector"):
        describe_collection("c", {**vars_of(described())}, schema, payload)


def vars_of(collection: Any) -> dict[str, Any]:
    return {
        "adaptor_id": collection.adaptor_id,
        "metric": collection.metric,
        "encoding": "float32",
        "dim": 32,
        "rescore": None,
        "id_column": "id",
        "vector_column": "vector",
    }


@pytest.mark.parametrize("engine", ["elasticsearch", "pinecone"], indirect=True)
def test_an_id_that_is_too_long_is_refused_at_its_row(engine: Engine, name: str, tmp_path: Path) -> None:
    day = Day(engine, name, tmp_path)
    day.first["b.parquet"]["é" * 257] = day.first["b.parquet"].pop("doc-92")
    day.maker.commit(day.first)
    message = r"b\.1\.parquet, row 69 \(id 'é+'\): column 'id' has 514 bytes; ids may have 512"
    with pytest.raises(InputError, match=message):
        day.export()


@pytest.mark.parametrize("engine", ["milvus-files", "pinecone", "milvus"], indirect=True)
def test_payload_that_is_too_large_is_refused_at_its_row(engine: Engine, name: str, tmp_path: Path) -> None:
    day = Day(engine, name, tmp_path, payload_types={"title": pa.string(), "small": pa.int64()})
    day.first["b.parquet"]["doc-92"] |= {"title": "x" * 70_000}
    day.maker.commit(day.first)
    with pytest.raises(InputError, match=r"row 2 \(id 'doc-92'\): column 'title' makes .* of 70,\d+ bytes"):
        day.export()


@pytest.mark.parametrize("engine", ["milvus-files", "milvus"], indirect=True)
def test_numbers_beyond_int64_are_refused_at_their_row(engine: Engine, name: str, tmp_path: Path) -> None:
    day = Day(engine, name, tmp_path, id_type=pa.uint64())
    rows = list(rows_of(3, 1).values())
    day.maker.commit({"a.parquet": {5: rows[0], 2**63: rows[1], 7: rows[2]}})
    with pytest.raises(InputError, match=r"row 1 \(id '9223372036854775808'\): column 'id' holds .* INT64"):
        day.export()


@pytest.mark.parametrize("engine", ["pinecone"], indirect=True)
def test_ids_beyond_ascii_are_refused_at_their_row(engine: Engine, name: str, tmp_path: Path) -> None:
    day = Day(engine, name, tmp_path)
    rows = list(rows_of(2, 1).values())
    day.maker.commit({"a.parquet": {"a": rows[0], "ü": rows[1]}})
    with pytest.raises(InputError, match=r"row 1 \(id 'ü'\): column 'id' has other than ASCII characters"):
        day.export()


@pytest.mark.parametrize("engine", DEAD, indirect=True)
def test_a_target_that_is_down_is_a_run_error(engine: Engine, name: str, tmp_path: Path) -> None:
    day = Day(engine, name, tmp_path, "float32")
    day.maker.commit(day.first)
    with pytest.raises(RunError, match=f"{engine.target} at .*127.0.0.1:9.*the same command goes on where this one"):
        day.export(destination={"uri": DEAD[engine.target]})


FOREIGN = ("lancedb", "qdrant", "milvus", "redis", "faiss", "elasticsearch")


@pytest.mark.parametrize("engine", FOREIGN, indirect=True)
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


@pytest.mark.parametrize("engine", ["elasticsearch"], indirect=True)
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


def test_a_folder_without_an_output_version_is_refused(tmp_path: Path) -> None:
    sections = {"version": {"uri": str(tmp_path)}, "destination": {"uri": str(tmp_path / "out")}}
    with pytest.raises(InputError, match=r"holds no complete output version \(manifest.json is missing\)"):
        run(ExportConfig.model_validate({"target": "vespa", **sections}))


def test_what_is_promoted_is_exported(tmp_path: Path) -> None:
    maker = VersionMaker(tmp_path / "aaaa-d32-float32", ADAPTOR)
    maker.commit({"a.parquet": rows_of(3, 1)})
    maker.commit({"a.parquet": rows_of(4, 2)})
    pointer(tmp_path, "aaaa-d32-float32", 1)
    section = ExportConfig.model_validate(
        {"target": "vespa", "version": {"uri": str(tmp_path)}, "destination": {"uri": "x"}}
    ).version
    assert open_version(section).manifest.rows == 3
    assert open_version(section.model_copy(update={"sequence": 2})).manifest.rows == 4
    for content in ("{", '{"output_version": "../x", "sequence": 1}', '{"output_version": "x"}', "[]"):
        (tmp_path / "current.json").write_text(content)
        with pytest.raises(InputError, match=r"current\.json is damaged"):
            open_version(section)


def test_an_older_sequence_than_the_targets_is_refused(tmp_path: Path) -> None:
    engine = ENGINES["vespa"](str(tmp_path / "vespa"))
    day = Day(engine, "c", tmp_path)
    day.maker.commit(day.first)
    day.maker.commit(day.second())
    day.export()
    version = {"uri": str(tmp_path / "version"), "sequence": 1}
    with pytest.raises(InputError, match="the collection is at sequence 2, which is later than 1"):
        day.export(version=version)


def test_faiss_wants_the_adaptor_of_the_version(tmp_path: Path) -> None:
    maker = VersionMaker(tmp_path / "version", ADAPTOR)
    maker.commit({"a.parquet": rows_of(3, 1)})
    sections = {"target": "faiss", "version": {"uri": str(tmp_path / "version")}, "destination": {"uri": str(tmp_path)}}
    with pytest.raises(InputError, match=r"faiss takes the adaptor's map along: give adaptor\.uri"):
        run(ExportConfig.model_validate(sections))
    other = {"uri": save(new_adaptor(4), tmp_path / "other")}
    with pytest.raises(InputError, match=r"holds adaptor .*, the output version was made by .*: give that one"):
        run(ExportConfig.model_validate(sections | {"adaptor": other}))


@pytest.mark.parametrize(
    ("flag", "value", "rule"),
    [
        ("destination.uri", "postgresql://me:secret@h/d", "must not hold a password"),
        ("destination.collection", "Drop Table", "must match pattern"),
        ("target", "oracle", "must be one of: lancedb"),
    ],
)
def test_the_configuration_is_checked(flag: str, value: str, rule: str) -> None:
    given = {"target": "vespa", "version.uri": "x", "destination.uri": "y"} | {flag: value}
    with pytest.raises(InputError, match=rule) as refused:
        load(ExportConfig, None, list(given.items()))
    assert "secret" not in str(refused.value)
