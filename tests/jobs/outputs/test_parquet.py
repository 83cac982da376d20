"""Output files: payload of every type as it was, bytes that depend on the rows only, numbers that fit their type."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adaptor.errors import RunError
from jobs.config.sections import FilesystemOptions
from jobs.outputs.output_format import Layout, Written
from jobs.outputs.parquet import ParquetFormat
from jobs.outputs.publish import publish, publish_over
from jobs.outputs.quarantine import Quarantine
from jobs.outputs.schema import short_field, short_schema
from jobs.sources.source import Batch
from jobs.storage.open import open_objects

ROWS = 40


def odd_payload() -> pa.Table:
    """A table with a vector column among columns of all sorts."""
    return pa.table(
        {
            "dictionary": pa.array(["a", "b"] * (ROWS // 2)).dictionary_encode(),
            "stamp": pa.array([datetime(2020, 1, 1, tzinfo=UTC)] * ROWS, pa.timestamp("ns", "Europe/Berlin")),
            "duration": pa.array([5] * ROWS, pa.duration("ms")),
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(np.ones(ROWS * 4, np.float32)), 4),
            "map": pa.array([[("k", 1)]] * ROWS, pa.map_(pa.string(), pa.int8())),
            "small": pa.array(range(ROWS), pa.uint8()),
            "half": pa.array(np.ones(ROWS, np.float16)),
            "view": pa.array([None, "x" * 30] * (ROWS // 2), pa.string_view()),
            "fixed": pa.array([b"abcd"] * ROWS, pa.binary(4)),
            "nothing": pa.nulls(ROWS),
            "time": pa.array([time(1)] * ROWS, pa.time64("ns")),
            "deep": pa.array([{"a": {"b": [1, None]}}] * ROWS),
            "decimal": pa.array([1] * ROWS, pa.decimal256(50, 3)),
            "other": pa.FixedSizeListArray.from_arrays(pa.array(np.ones(ROWS * 2)), 2),
            "uuid": pa.array([b"0123456789abcdef"] * ROWS, pa.uuid()),
            "vector2": pa.array(["not a vector"] * ROWS),
        }
    ).replace_schema_metadata({"mine": "kept"})


def rewrite(source: Path, target: Path, batch_rows: int, compression: str = "zstd") -> Written:
    """Pass a file through the writer, vectors halved in dim."""
    with pq.ParquetFile(source) as file:
        short = short_schema(file.schema_arrow, [("vector", pa.list_(pa.float32(), 2))], {"m": "2"})
        with ParquetFormat().writer(target, short, Layout(15, compression, ("vector",))) as writer:
            for batch in file.iter_batches(batch_rows):
                numbers = np.ones(batch.num_rows * 2, np.float32)
                vectors = pa.FixedSizeListArray.from_arrays(pa.array(numbers), 2)
                columns = [vectors if n == "vector" else batch.column(i) for i, n in enumerate(short.names)]
                writer.write(pa.RecordBatch.from_arrays(columns, schema=short))
            return writer.finish()


@pytest.mark.parametrize("compression", ["zstd", "none"])
def test_payload_of_any_type_is_kept(tmp_path: Path, compression: str) -> None:
    content = odd_payload()
    pq.write_table(content, tmp_path / "in.parquet", row_group_size=17)
    written = rewrite(tmp_path / "in.parquet", tmp_path / "out.parquet", 7, compression)
    source, output = pq.read_table(tmp_path / "in.parquet"), pq.read_table(tmp_path / "out.parquet")
    assert output.schema.names == source.schema.names
    assert output.drop(["vector"]).equals(source.drop(["vector"]))
    assert output.schema.metadata == {b"mine": b"kept", b"matryoshka.m": b"2"}
    assert output.schema.field("vector").type == pa.list_(pa.float32(), 2)
    groups = pq.read_metadata(tmp_path / "out.parquet")
    assert [groups.row_group(i).num_rows for i in range(groups.num_row_groups)] == [15, 15, 10]
    body = (tmp_path / "out.parquet").read_bytes()
    assert written == Written(tmp_path / "out.parquet", ROWS, len(body), hashlib.sha256(body).hexdigest())


def test_bytes_do_not_depend_on_the_batches(tmp_path: Path) -> None:
    pq.write_table(odd_payload().drop(["dictionary"]), tmp_path / "in.parquet")
    digests = {rewrite(tmp_path / "in.parquet", tmp_path / f"{n}", n).sha256 for n in (1, 4, 15, 16, 40)}
    assert len(digests) == 1


def test_a_vector_column_of_an_extension_type_becomes_a_plain_list() -> None:
    metadata = {"ARROW:extension:name": "arrow.fixed_shape_tensor", "PARQUET:field_id": "7"}
    field = short_field(pa.field("v", pa.list_(pa.float64()), False, metadata), pa.list_(pa.float16(), 3))
    assert (field.type, field.nullable, field.metadata) == (
        pa.list_(pa.float16(), 3),
        False,
        {b"PARQUET:field_id": b"7"},
    )


def test_rejected_rows_of_any_type_are_kept(tmp_path: Path) -> None:
    content = odd_payload()
    with Quarantine(tmp_path / "none", content.schema, "vector") as quarantine:
        assert quarantine.finish() is None
    batch = Batch(3, 100, content.combine_chunks().to_batches()[0])
    with Quarantine(tmp_path / "some", content.schema, "vector") as quarantine:
        quarantine.add(batch, {5: "NaN", 2: "null id"})
        written = quarantine.finish()
    assert written is not None
    aside = pq.read_table(tmp_path / "some")
    assert written.rows == 2
    assert aside.select(["reason", "row_group", "row"]).to_pylist() == [
        {"reason": "null id", "row_group": 3, "row": 102},
        {"reason": "NaN", "row_group": 3, "row": 105},
    ]
    assert aside.column("small").to_pylist() == [2, 5]


def test_a_full_scratch_disk_is_named(tmp_path: Path) -> None:
    pq.write_table(odd_payload(), tmp_path / "in.parquet")
    with pytest.raises(RunError, match=r"scratch file /dev/full could not be written .* set TMPDIR"):
        rewrite(tmp_path / "in.parquet", Path("/dev/full"), 7)


def test_an_upload_that_did_not_arrive_whole_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = open_objects(str(tmp_path / "out"), FilesystemOptions())
    local = tmp_path / "local"
    local.write_bytes(b"12345")
    publish(objects, "data/x", Written(local, 1, 5, ""))
    with pytest.raises(RunError, match="data/x: 6 bytes were written, 5 bytes arrived"):
        publish(objects, "data/x", Written(local, 1, 6, ""))
    with pytest.raises(RunError, match="data/x: 6 bytes were written, 5 bytes arrived"):
        publish_over(objects, "data/x", Written(local, 1, 6, ""), objects.stat("data/x"))

    def lost(*_: Any) -> None:
        return None

    monkeypatch.setattr(objects, "put_file", lost)
    with pytest.raises(RunError, match="no object arrived"):
        publish(objects, "data/y", Written(local, 1, 5, ""))
