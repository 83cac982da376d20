"""The files for importers, against what their documentation asks for and, for Milvus, against its own writer."""

from __future__ import annotations

import base64
import json
import logging
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.export.folder import LinesPart
from jobs.export.json_vectors import json_vectors
from tests.jobs.export.days import Day
from tests.jobs.export.engines import ENGINES, Engine
from tests.jobs.export.versions import PAYLOAD, rows_of, vectors

NUMBERS = {"type": "array", "items": {"type": "number"}, "minItems": 32, "maxItems": 32}
BYTES = {"type": "array", "items": {"type": "integer", "minimum": -128, "maximum": 127}}

#: Per field type of Vespa's document JSON format; a tensor in its short form.
VESPA = {
    "type": "object",
    "oneOf": [{"required": ["put"]}, {"required": ["update", "create"]}, {"required": ["remove"]}],
    "additionalProperties": False,
    "properties": {
        "put": {"type": "string", "pattern": "^id:[^:]+:[^:]+::."},
        "update": {"type": "string", "pattern": "^id:[^:]+:[^:]+::."},
        "remove": {"type": "string", "pattern": "^id:[^:]+:[^:]+::."},
        "create": {"const": True},
        "fields": {
            "type": "object",
            "additionalProperties": {
                "oneOf": [
                    {"type": ["string", "number", "boolean"]},
                    {"type": "array", "items": {"type": ["string", "number", "boolean"]}},
                    {"type": "object", "required": ["values"], "properties": {"values": {"type": "array"}}},
                    {"type": "object", "required": ["assign"]},
                ]
            },
        },
    },
}


def exported(target: str, folder: Path, encoding: str = "float32", **options: Any) -> Day:
    """A day with a feed, written for `target`."""
    destination = options.pop("destination", {})
    day = Day(ENGINES[target](str(folder / "out")), "docs", folder, encoding, payload_types=PAYLOAD, **options)
    day.maker.commit(day.first)
    day.export(destination=destination)
    day.maker.commit(day.second())
    day.export(destination=destination)
    return day


def documents(day: Day) -> dict[str, Any]:
    found: dict[str, Any] = day.engine.documents("docs", day.maker)  # type: ignore[attr-defined]
    return found


@pytest.mark.parametrize("codes", [vectors(5, 1), vectors(5, 1) * 1e-12, np.zeros((2, 3), np.float32)])
def test_floats_as_text_are_the_same_floats(codes: Any) -> None:
    read = np.array([json.loads(text) for text in json_vectors(codes)])
    np.testing.assert_array_equal(read.astype(np.float32), codes)
    half = codes.astype(np.float16)
    np.testing.assert_array_equal(np.array([json.loads(text) for text in json_vectors(half)], np.float16), half)


def test_codes_as_text_are_signed_bytes() -> None:
    assert json_vectors(np.array([[-128, 0, 127]], np.int8)) == ["[-128,0,127]"]
    assert json_vectors(np.array([[129, 0, 255]], np.uint8)) == ["[-127,0,-1]"]


@pytest.mark.parametrize("target", ["elasticsearch", "opensearch"])
def test_documents_hold_the_payload_as_json(target: str, tmp_path: Path) -> None:
    day = exported(target, tmp_path)
    for name, document in documents(day).items():
        row = day.maker.rows[name]
        assert document["id"] == name
        assert document.get("title") == row["title"]
        assert (document["count"], document["big"], document["good"]) == (row["count"], row["big"], row["good"])
        assert Decimal(document["price"]) == row["price"]
        assert document["day"] == row["day"].isoformat()
        assert base64.b64decode(document["raw"]) == row["raw"]
        assert (document["tags"], document["place"]) == (row["tags"], row["place"])
        assert document["owner"] == str(row["owner"])
        assert document["score"] == (None if math.isnan(row["score"]) else row["score"])


@pytest.mark.parametrize(
    ("encoding", "field"),
    [
        ("float16", {"element_type": "float", "dims": 32, "similarity": "cosine"}),
        ("int8", {"element_type": "byte", "dims": 32, "similarity": "cosine"}),
        ("binary", {"element_type": "bit", "dims": 32, "similarity": "l2_norm"}),
    ],
)
def test_elasticsearch_mapping(encoding: str, field: dict[str, Any], tmp_path: Path) -> None:
    exported("elasticsearch", tmp_path, encoding, rescore="float32")
    body = json.loads((tmp_path / "out" / "docs" / "mapping.json").read_text())
    properties = body["mappings"]["properties"]
    assert properties["vector"] == {"type": "dense_vector", "index": True, **field}
    assert properties["vector_rescore"] == {
        "type": "dense_vector", "index": False, "element_type": "float", "dims": 16,
    }  # fmt: skip
    assert (properties["id"], properties["big"]) == ({"type": "keyword"}, {"type": "unsigned_long"})
    assert body["mappings"]["_meta"]["matryoshka"]["vectors"]["vector"] == f"d32-{encoding}"


@pytest.mark.parametrize(
    ("encoding", "field", "engine"),
    [
        ("float32", {"data_type": "float", "space_type": "cosinesimil"}, "lucene"),
        ("int8", {"data_type": "byte", "space_type": "cosinesimil"}, "lucene"),
        ("binary", {"data_type": "binary", "space_type": "hamming"}, "faiss"),
    ],
)
def test_opensearch_mapping(encoding: str, field: dict[str, Any], engine: str, tmp_path: Path) -> None:
    exported("opensearch", tmp_path, encoding)
    body = json.loads((tmp_path / "out" / "docs" / "mapping.json").read_text())
    assert body["settings"] == {"index": {"knn": True}}
    method = {"name": "hnsw", "engine": engine}
    expected = {"type": "knn_vector", "dimension": 32, "method": method, **field}
    assert body["mappings"]["properties"]["vector"] == expected


@pytest.mark.parametrize("encoding", ["float32", "int8", "binary"])
def test_vespa_operations_follow_its_format(encoding: str, tmp_path: Path) -> None:
    day = exported("vespa", tmp_path, encoding)
    operations = [
        json.loads(line)
        for path in (tmp_path / "out" / "docs").rglob("*.ndjson")
        for line in path.read_text().splitlines()
    ]
    for operation in operations:
        jsonschema.validate(operation, VESPA)
        if "put" in operation:
            values = operation["fields"]["vector"]["values"]
            jsonschema.validate(values, NUMBERS if encoding == "float32" else BYTES)
    schema = (tmp_path / "out" / "docs" / "docs.sd").read_text()
    tensor = {"float32": "tensor<float>(x[32])", "int8": "tensor<int8>(x[32])", "binary": "tensor<int8>(x[4])"}
    metric = "hamming" if encoding == "binary" else "angular"
    assert f"field vector type {tensor[encoding]} {{ indexing: attribute | index attribute" in schema
    assert f"distance-metric: {metric}" in schema
    assert "field place type string { indexing: summary }" in schema
    for name, document in documents(day).items():
        row = day.maker.rows[name]
        assert json.loads(document["place"]) == row["place"]
        assert document["tags"] == row["tags"]
        assert document["big"] == str(row["big"])  # beyond a long
        assert ("score" in document) == (not math.isnan(row["score"]))
        assert None not in document.values()


def test_vespa_updates_only_vectors_where_no_payload_is_wanted(tmp_path: Path) -> None:
    exported("vespa", tmp_path, destination={"payload": []})
    operations = [
        json.loads(line)
        for path in (tmp_path / "out" / "docs").rglob("upsert-*.ndjson")
        for line in path.read_text().splitlines()
    ]
    assert operations
    for operation in operations:
        jsonschema.validate(operation, VESPA)
        assert list(operation["fields"]) == ["vector"]
        jsonschema.validate(operation["fields"]["vector"]["assign"]["values"], NUMBERS)


def test_pinecone_files_have_its_columns_and_flat_metadata(tmp_path: Path) -> None:
    day = exported("pinecone", tmp_path)
    files = sorted((tmp_path / "out" / "docs").rglob("*.parquet"))
    assert {str(file.relative_to(tmp_path / "out" / "docs").parent) for file in files} == {
        "00000001-full/docs",
        "00000002-feed/docs",
    }
    expected = pa.schema([("id", pa.string()), ("values", pa.list_(pa.float32())), ("metadata", pa.string())])
    assert all(pq.read_schema(file).equals(expected) for file in files)
    for name, document in documents(day).items():
        row = day.maker.rows[name]
        for value in document.values():
            assert isinstance(value, str | int | float | bool | list)
        assert document["tags"] == row["tags"]
        assert document["count"] == row["count"]
        assert document["big"] == str(row["big"])  # a float would change it
        assert json.loads(document["place"]) == row["place"]
    index = json.loads((tmp_path / "out" / "docs" / "index.json").read_text())
    assert (index["dimension"], index["metric"], index["namespace"]) == (32, "cosine", "docs")


@pytest.mark.parametrize("id_type", [pa.string(), pa.int64()])
@pytest.mark.parametrize("encoding", ["float32", "float16", "int8", "binary"])
def test_milvus_files_are_those_of_its_own_writer(encoding: str, id_type: pa.DataType, tmp_path: Path) -> None:
    for library in ("milvus_lite", "minio", "azure"):
        pytest.importorskip(library)
    from pymilvus.bulk_writer import BulkFileType, LocalBulkWriter

    from jobs.export.collection import describe_collection
    from jobs.export.rows import Rows
    from jobs.export.targets.milvus import collection_schema, milvus_rows

    day = Day(
        ENGINES["milvus-files"](str(tmp_path / "out")),
        "docs",
        tmp_path,
        encoding,
        payload_types=PAYLOAD,
        id_type=id_type,
    )
    rows = {
        row if id_type == pa.string() else number: value for number, (row, value) in enumerate(rows_of(30, 1).items())
    }
    day.maker.commit({"a.parquet": rows})
    day.export()
    collection = describe_collection("docs", day.maker.description, day.maker.schema, None)
    table = day.maker.table(rows).select(collection.schema.names)
    (batch,) = table.cast(collection.schema).combine_chunks().to_batches()
    logging.disable(logging.INFO)
    schema = collection_schema(collection)
    writer = LocalBulkWriter(schema=schema, local_path=str(tmp_path / "theirs"), file_type=BulkFileType.PARQUET)
    for row in milvus_rows(Rows(batch, "id", "x", 0), collection):
        writer.append_row(row)
    writer.commit()
    logging.disable(logging.NOTSET)
    ((theirs,),) = writer.batch_files
    (ours,) = (tmp_path / "out" / "docs").rglob("*.parquet")
    expected, found = pq.read_table(theirs), pq.read_table(ours)
    assert found.schema.names == expected.schema.names
    assert [str(kind) for kind in found.schema.types] == [str(kind) for kind in expected.schema.types]
    for name in found.schema.names:
        told = [
            [json.loads(text) for text in table[name].to_pylist()] if name == "$meta" else table[name].to_pylist()
            for table in (found, expected)
        ]
        assert told[0] == told[1], name
    described = json.loads((tmp_path / "out" / "docs" / "collection.json").read_text())
    assert [field["name"] for field in described["fields"]] == ["id", "vector"]


@pytest.mark.parametrize("engine", ["elasticsearch", "pinecone"], indirect=True)
def test_parts_stay_below_the_limit_and_lose_nothing(
    engine: Engine, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jobs.export.target import open_target

    day = Day(engine, name, tmp_path)
    day.batch_rows = 7
    day.maker.commit(day.first)
    made: list[Any] = []

    def small(*given: Any) -> Any:
        made.append(open_target(*given))
        monkeypatch.setattr(type(made[0]), "part_bytes", 6000)
        return made[-1]

    monkeypatch.setattr("jobs.export.command.open_target", small)
    day.export()
    assert len([*(Path(engine.uri) / name).rglob("upsert-00001-*")]) > 1
    day.check()


def test_parts_of_an_interrupted_run_do_not_stay(tmp_path: Path) -> None:
    """The next run may cut the same file into fewer parts."""
    day = Day(ENGINES["elasticsearch"](str(tmp_path / "out")), "docs", tmp_path)
    day.maker.commit(day.first)
    stale = tmp_path / "out" / "docs" / "00000002-feed" / "upsert-00000-007.ndjson"
    day.export()
    stale.parent.mkdir()
    stale.write_text('{"index": {"_id": "ghost"}}\n{"vector": []}\n')
    day.maker.commit(day.second())
    day.export()
    day.check()
    assert not stale.exists()


def test_half_a_character_does_not_end_the_export(tmp_path: Path) -> None:
    class OneRow:
        """Stands for rows."""

    part = LinesPart(tmp_path / "x", lambda rows: ["a\ud800b"])
    part.write(OneRow())  # type: ignore[arg-type]
    part.close()
    assert (tmp_path / "x").read_bytes() == b"a?b\n"
