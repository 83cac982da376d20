"""Files for Milvus's bulk import (`pymilvus.bulk_writer.bulk_import`), as its own writer makes them: float16 as bytes
in lists of uint8, payload as JSON in `$meta`. For feeds also the filters of `MilvusClient.delete`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from adaptor.artefact import Adaptor
from jobs.config.export import DestinationSection
from jobs.export.collection import Collection, VectorColumn
from jobs.export.folder import FolderTarget, LinesPart, Part
from jobs.export.json_values import check_json_payload
from jobs.export.milvus_rows import METRICS, MOST_BYTES, has_number_ids, milvus_ids, milvus_payload
from jobs.export.parquet_part import ParquetPart, list_column
from jobs.export.rows import Rows
from jobs.export.target import Takes

_TYPES = {"float32": "FLOAT_VECTOR", "float16": "FLOAT16_VECTOR", "int8": "INT8_VECTOR", "binary": "BINARY_VECTOR"}
_NUMBERS = {"float32": pa.float32(), "float16": pa.uint8(), "int8": pa.int8(), "binary": pa.uint8()}
_DELETED_AT_ONCE = 1000


class MilvusFiles(FolderTarget):
    """A `Target`."""

    suffix: ClassVar[str] = ".parquet"
    part_bytes: ClassVar[int] = 500_000_000
    takes: ClassVar[Takes] = Takes(
        encodings={"float32": 32_768, "float16": 32_768, "int8": 32_768, "binary": 262_144},
        reserved=frozenset({"$meta"}),
        id_bytes=MOST_BYTES,
        batch_rows=16_384,
    )

    def __init__(self, destination: DestinationSection, collection: Collection, adaptor: Adaptor | None) -> None:
        super().__init__(destination, collection, adaptor)
        check_json_payload(collection)
        identity = pa.int64() if has_number_ids(collection.id_type) else pa.string()
        vectors = [(column.name, pa.list_(_NUMBERS[column.encoding])) for column in collection.vectors]
        self._schema = pa.schema([(collection.id_column, identity), *vectors, ("$meta", pa.string())])

    def upserts(self, path: Path) -> Part:
        """Rows for the import."""
        return ParquetPart(path, self._schema, self._batch)

    def deletes(self, path: Path) -> Part:
        """Filters, a line each."""
        return LinesPart(path, self._delete_lines)

    def side_files(self) -> Mapping[str, bytes]:
        """What the collection must be made with."""
        identity = {"name": self.collection.id_column, "primary": True}
        number = has_number_ids(self.collection.id_type)
        identity |= {"type": "INT64"} if number else {"type": "VARCHAR", "max_length": MOST_BYTES}
        told = {
            "collection": self.collection.name,
            "enable_dynamic_field": True,
            "fields": [identity, *map(self._field, self.collection.vectors)],
            "matryoshka": self.collection.stamp,
        }
        return {"collection.json": json.dumps(told, indent=1).encode() + b"\n"}

    def _field(self, column: VectorColumn) -> dict[str, Any]:
        metric = METRICS[self.collection.comparison(column)]
        return {"name": column.name, "type": _TYPES[column.encoding], "dim": column.dim, "metric_type": metric}

    def _batch(self, rows: Rows) -> pa.RecordBatch:
        vectors = []
        for column in self.collection.vectors:
            codes = np.ascontiguousarray(rows.codes(column))
            if column.encoding == "float16":
                codes = codes.astype("<f2").view(np.uint8)
            vectors.append(list_column(codes))
        payload = [json.dumps(told, ensure_ascii=False) for told in milvus_payload(rows, self.collection)]
        columns = [pa.array(milvus_ids(rows), self._schema.field(0).type), *vectors, pa.array(payload, pa.string())]
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)

    def _delete_lines(self, rows: Rows) -> Iterator[str]:
        for some in rows.slices(_DELETED_AT_ONCE):
            listed = json.dumps(milvus_ids(some), ensure_ascii=False)
            yield json.dumps({"filter": f"{self.collection.id_column} in {listed}"}, ensure_ascii=False)
