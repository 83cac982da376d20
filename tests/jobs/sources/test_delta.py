"""Delta tables: which rows are live, and in which columns."""

from __future__ import annotations

import json
import struct
import sys
import time
import zlib
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("deltalake", reason="the extra `delta` is not installed")

from deltalake import DeltaTable, QueryBuilder, write_deltalake

from adaptor.errors import InputError
from jobs.config.sections import SourceSection
from jobs.runtime.extras import install_hint
from jobs.sources.source import Source, open_source
from tests.jobs.sources.parquet_files import table, vectors
from tests.jobs.sources.whole import read
from tests.s3_server import S3Server

_Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"


def opened(folder: Path | str, **section: Any) -> Source:
    return open_source(SourceSection(uri=str(folder), format="delta", **section))


def rows(first: int, stop: int, **more: Any) -> pa.Table:
    """Rows with ids r<first> …"""
    ids = [f"r{row}" for row in range(first, stop)]
    lists = pa.array(list(vectors(stop - first, seed=first)), pa.list_(pa.float32()))
    return pa.table({"id": ids, "vector": lists, **more})


@pytest.mark.parametrize(("case", "live"), [("delta_overwrite", 60), ("delta_update", 59)])
def test_the_snapshot_of_the_cases(root: Path, case: str, live: int) -> None:
    folder = root / "tests" / "data" / "cases" / case
    found = read(opened(folder), 50)
    theirs = pa.table(QueryBuilder().register("t", DeltaTable(folder)).execute("select id, title from t"))
    assert len(found["id"]) == live == len(set(found["id"]))
    pairs = zip(theirs["id"].to_pylist(), theirs["title"].to_pylist(), strict=True)
    assert sorted(zip(found["id"], found["title"], strict=True)) == sorted(pairs)


def test_the_next_run_reads_the_next_version(tmp_path: Path) -> None:
    write_deltalake(tmp_path, rows(0, 10))
    source = opened(tmp_path)
    before = source.shards()
    write_deltalake(tmp_path, rows(10, 15), mode="append")
    assert (source.snapshot(), opened(tmp_path).snapshot()) == ("0", "1")
    assert set(before) < set(opened(tmp_path).shards())  # what was there is the same shard
    assert len(read(opened(tmp_path, snapshot="0"))["id"]) == 10
    with pytest.raises(InputError, match=r"version 9 of the Delta table cannot be read"):
        opened(tmp_path, snapshot="9").shards()
    with pytest.raises(InputError, match=r"source.snapshot is 'new': a version of a Delta table is a number"):
        opened(tmp_path, snapshot="new").shards()


def test_partition_columns_come_from_the_log(tmp_path: Path) -> None:
    parts = pa.table({"day": pa.array([20_000] * 5 + [None] * 5, pa.int32()).cast(pa.date32())})
    content = rows(0, 10, day=parts["day"], place=["a b/c=%"] * 10)
    write_deltalake(tmp_path, content, partition_by=["day", "place"])
    found = read(opened(tmp_path))
    assert sorted(zip(found["id"], found["day"], found["place"], strict=True), key=lambda row: row[0]) == list(
        zip(content["id"].to_pylist(), content["day"].to_pylist(), content["place"].to_pylist(), strict=True)
    )
    assert read(opened(tmp_path), columns=["day"])["day"].count(None) == 5


def test_columns_that_were_added_later_are_null_before(tmp_path: Path) -> None:
    write_deltalake(tmp_path, rows(0, 3))
    write_deltalake(tmp_path, rows(3, 5, title=["x", "y"]), mode="append", schema_mode="merge")
    found = read(opened(tmp_path))
    assert dict(zip(found["id"], found["title"], strict=True)) == {
        "r0": None,
        "r1": None,
        "r2": None,
        "r3": "x",
        "r4": "y",
    }


def _z85(content: bytes) -> str:
    text = ""
    for start in range(0, len(content), 4):
        number, digits = int.from_bytes(content[start : start + 4], "big"), ""
        for _ in range(5):
            number, digit = divmod(number, 85)
            digits = _Z85[digit] + digits
        text += digits
    return text


def _vector(folder: Path, deleted: list[int], inline: bool) -> dict[str, Any]:
    """A deletion vector as Delta's protocol describes it, in the log or in a file of its own."""
    from pyroaring import BitMap64

    content = struct.pack("<I", 1681511377) + BitMap64(deleted).serialize()
    if inline:
        content += b"\0" * (-len(content) % 4)
        kind: dict[str, Any] = {"storageType": "i", "pathOrInlineDv": _z85(content)}
    else:
        name = uuid4()
        checksum = struct.pack(">I", zlib.crc32(content))
        file = b"\1" + struct.pack(">I", len(content)) + content + checksum
        (folder / f"deletion_vector_{name}.bin").write_bytes(file)
        kind = {"storageType": "u", "pathOrInlineDv": _z85(name.bytes), "offset": 1}
    return {**kind, "sizeInBytes": len(content), "cardinality": len(deleted)}


def _commit_vectors(folder: Path, deleted: dict[str, list[int]]) -> None:
    """Delete rows of files, by the files' first ids, as Spark and Databricks do."""
    features = {"readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"]}
    actions: list[dict[str, Any]] = [{"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, **features}}]
    logs = sorted((folder / "_delta_log").glob("*.json"))
    for log in logs:
        for line in log.read_text().splitlines():
            add = json.loads(line).get("add")
            first = json.loads(add["stats"])["minValues"]["id"] if add else None
            if first in deleted:
                remove = {key: add[key] for key in ("path", "partitionValues", "size")}
                removed = {**remove, "deletionTimestamp": int(time.time() * 1000), "dataChange": True}
                vector = _vector(folder, deleted[first], inline=len(actions) == 1)
                actions += [{"remove": removed}, {"add": {**add, "deletionVector": vector}}]
    lines = "\n".join(map(json.dumps, actions))
    (folder / "_delta_log" / f"{len(logs):020}.json").write_text(lines + "\n")


def test_deletion_vectors_are_applied(tmp_path: Path) -> None:
    for first in (10, 20, 30):
        write_deltalake(tmp_path, rows(first, first + 10), mode="append")
    before = {shard.key: shard.version for shard in opened(tmp_path).shards()}
    _commit_vectors(tmp_path, {"r10": [0, 1, 2, 3, 4, 9], "r20": [5]})
    theirs = pa.table(QueryBuilder().register("t", DeltaTable(tmp_path)).execute("select id from t"))
    source = opened(tmp_path)
    found = read(source)
    assert sorted(found["id"]) == sorted(theirs["id"].to_pylist())
    assert len(found["id"]) == 23
    assert "2 of them without the rows that were deleted since" in source.notes()[0]
    changed = [shard for shard in source.shards() if before[shard.key] != shard.version]
    assert len(changed) == 2
    rows_of = {int(name[1:]): vector for name, vector in zip(found["id"], found["vector"], strict=True)}
    np.testing.assert_array_equal(np.array(rows_of[26], np.float32), vectors(10, seed=20)[6])
    # Filled up again: the size of a batch does not depend on what was deleted from it.
    sizes = [batch.table.num_rows for batch in source.read(changed[0], [0], 4)]
    assert sizes in ([4], [4, 4, 1])


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is no Delta table: check source\.uri"):
        opened(tmp_path).shards()
    write_deltalake(tmp_path / "clone", rows(0, 3))
    log = tmp_path / "clone" / "_delta_log" / f"{0:020}.json"
    name = next(path.name for path in (tmp_path / "clone").glob("*.parquet"))
    log.write_text(log.read_text().replace(f'"{name}"', f'"s3://other/{name}"'))
    with pytest.raises(InputError, match=r"a file of another table \(a shallow clone\), which is not read"):
        opened(tmp_path / "clone").shards()


def test_a_vacuumed_version_says_so(tmp_path: Path) -> None:
    write_deltalake(tmp_path, rows(0, 3))
    source = opened(tmp_path)
    (shard,) = source.shards()
    (tmp_path / shard.key).unlink()
    with pytest.raises(InputError, match="does not exist any more"):
        source.describe(shard)


def test_on_s3(bucket: str, s3: S3Server) -> None:
    options = {"aws_endpoint": s3.endpoint, "aws_allow_http": "true", "aws_region": "us-east-1"}
    write_deltalake(f"{bucket}/t", table(5), storage_options=options)
    write_deltalake(f"{bucket}/t", table(3, seed=1), mode="overwrite", storage_options=options)
    assert len(read(opened(f"{bucket}/t/", filesystem=s3.options))["id"]) == 3


def test_rows_of_types_that_arrow_cannot_take_are_deleted_too(tmp_path: Path) -> None:
    write_deltalake(tmp_path, rows(10, 20, title=[f"t{row}" for row in range(10)]))
    (file,) = tmp_path.glob("*.parquet")
    views = pq.read_table(file)
    pq.write_table(views.set_column(2, "title", views["title"].cast(pa.string_view())), file)
    log = tmp_path / "_delta_log" / f"{0:020}.json"
    size = json.loads(next(line for line in log.read_text().splitlines() if "add" in json.loads(line)))["add"]["size"]
    log.write_text(log.read_text().replace(f'"size":{size}', f'"size":{file.stat().st_size}'))
    _commit_vectors(tmp_path, {"r10": [0, 3, 4, 9]})
    assert read(opened(tmp_path))["title"] == ["t1", "t2", "t5", "t6", "t7", "t8"]


def test_damaged_deletion_vectors_are_named(tmp_path: Path) -> None:
    for first in (10, 20):
        write_deltalake(tmp_path, rows(first, first + 10), mode="append")
    _commit_vectors(tmp_path, {"r10": [0], "r20": [5]})
    (file,) = tmp_path.glob("deletion_vector_*.bin")
    for content in (b"\1\0\0", b""):
        file.write_bytes(content)
        with pytest.raises(InputError, match="the deletion vectors of the table cannot be read"):
            opened(tmp_path).shards()


def test_columns_stored_under_other_names(tmp_path: Path) -> None:
    write_deltalake(tmp_path, rows(0, 3).rename_columns(["col-1", "vector"]))
    log = tmp_path / "_delta_log" / f"{0:020}.json"
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    for action in actions:
        if "protocol" in action:
            action["protocol"] = {"minReaderVersion": 2, "minWriterVersion": 5}
        if "metaData" in action:
            schema = json.loads(action["metaData"]["schemaString"])
            for number, field in enumerate(schema["fields"], 1):
                physical = {"delta.columnMapping.id": number, "delta.columnMapping.physicalName": field["name"]}
                field |= {"name": {"col-1": "id"}.get(field["name"], field["name"]), "metadata": physical}
            action["metaData"]["schemaString"] = json.dumps(schema)
            action["metaData"]["configuration"] = {"delta.columnMapping.mode": "name"}
    log.write_text("\n".join(map(json.dumps, actions)) + "\n")
    assert read(opened(tmp_path))["id"] == ["r0", "r1", "r2"]


def test_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "deltalake", None)
    with pytest.raises(ModuleNotFoundError) as caught:
        opened(tmp_path).shards()
    assert install_hint(caught.value.name) == "deltalake is not installed: pip install 'matryoshka-adaptor[delta]'"
