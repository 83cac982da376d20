"""Pinecone: Parquet files for its import (id, values, metadata), below a folder that is named like the namespace; and
for feeds the bodies of `POST /vectors/delete`. Give the import the folders one after the other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from adaptor.artefact import Adaptor
from jobs.config.export import DestinationSection
from jobs.export.collection import Collection
from jobs.export.flat_payload import flat_rows
from jobs.export.folder import FolderTarget, LinesPart, Part
from jobs.export.json_values import check_json_payload
from jobs.export.parquet_part import ParquetPart, list_column
from jobs.export.rows import Rows
from jobs.export.target import Takes

SCHEMA = pa.schema([("id", pa.string()), ("values", pa.list_(pa.float32())), ("metadata", pa.string())])
_METRICS = {"cosine": "cosine", "dot": "dotproduct", "l2": "euclidean"}
_METADATA_BYTES = 40 << 10
_DELETED_AT_ONCE = 1000
#: Largest whole number that metadata, which are floats there, hold exactly.
_EXACT = 1 << 53


class Pinecone(FolderTarget):
    """A `Target`."""

    suffix: ClassVar[str] = ".parquet"
    part_bytes: ClassVar[int] = 500_000_000
    takes: ClassVar[Takes] = Takes(
        encodings={"float32": 20_000, "float16": 20_000}, rescore=False, id_bytes=512, batch_rows=16_384
    )

    def __init__(self, destination: DestinationSection, collection: Collection, adaptor: Adaptor | None) -> None:
        super().__init__(destination, collection, adaptor)
        check_json_payload(collection)

    def upserts(self, path: Path) -> Part:
        """Rows for the import."""
        return ParquetPart(path, SCHEMA, self._batch)

    def deletes(self, path: Path) -> Part:
        """Bodies of requests."""
        return LinesPart(path, self._delete_lines)

    def side_files(self) -> Mapping[str, bytes]:
        """What the index must be made with."""
        column = self.collection.vector
        told = {
            "dimension": column.dim,
            "metric": _METRICS[self.collection.comparison(column)],
            "namespace": self.collection.name,
            "matryoshka": self.collection.stamp,
        }
        return {"index.json": json.dumps(told, indent=1).encode() + b"\n"}

    def folder(self, name: str) -> str:
        """The import takes a namespace from the name of the folder."""
        return f"{name}/{self.collection.name}"

    def _batch(self, rows: Rows) -> pa.RecordBatch:
        for row, text in enumerate(rows.texts):
            if not text.isascii():
                raise rows.refused(row, rows.id_column, "has other than ASCII characters, which Pinecone's ids cannot")
        metadata = [json.dumps(told, ensure_ascii=False) for told in map(_exact, self._payload(rows))]
        for row, text in enumerate(metadata):
            if (size := len(text.encode())) > _METADATA_BYTES:
                payload = json.loads(text)
                name = max(payload, key=lambda key: len(str(payload[key])))
                raise rows.refused(row, name, f"makes metadata of {size:,} bytes; Pinecone takes {_METADATA_BYTES:,}")
        values = list_column(rows.codes(self.collection.vector).astype("float32"))
        columns = [pa.array(rows.texts, pa.string()), values, pa.array(metadata, pa.string())]
        return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)

    def _payload(self, rows: Rows) -> list[dict[str, Any]]:
        return flat_rows(rows, self.collection, _is_native)

    def _delete_lines(self, rows: Rows) -> Iterator[str]:
        for some in rows.slices(_DELETED_AT_ONCE):
            yield json.dumps({"ids": some.texts, "namespace": self.collection.name}, ensure_ascii=False)


def _is_native(kind: pa.DataType) -> bool:
    if pa.types.is_list(kind):
        return bool(pa.types.is_string(kind.value_type))
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def _exact(payload: dict[str, Any]) -> dict[str, Any]:
    """Whole numbers that a float would change become text."""
    return {
        name: str(value) if isinstance(value, int) and abs(value) > _EXACT else value for name, value in payload.items()
    }
