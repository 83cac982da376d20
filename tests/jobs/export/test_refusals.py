"""What cannot be exported is told before anything is sent, or at the row, with column and row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from adaptor.errors import InputError
from jobs.config.export import DestinationSection, ExportConfig
from jobs.config.loader import load
from jobs.export.collection import describe_collection
from jobs.export.command import open_version, run
from jobs.export.registry import TARGETS
from jobs.export.target import open_target
from tests.jobs.export.days import ADAPTOR, Day
from tests.jobs.export.engines import ENGINES, params
from tests.jobs.export.versions import VersionMaker, new_adaptor, pointer, rows_of, save


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


@pytest.fixture(params=params(*TARGETS))
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


def test_another_kind_of_faiss_index_is_made_anew(tmp_path: Path) -> None:
    import faiss

    day = Day(ENGINES["faiss"](str(tmp_path / "faiss")), "c", tmp_path, "int8")
    day.maker.commit(day.first)
    day.export()
    day.export(destination={"index": "scalar"})
    index: Any = faiss.read_index(str(tmp_path / "faiss" / "c" / "index.faiss"))
    assert isinstance(faiss.downcast_index(index.index), faiss.IndexScalarQuantizer)
    day.export()
    day.check()
