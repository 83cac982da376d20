"""Elasticsearch and OpenSearch: files for `_bulk`, and the body that makes the index (`mapping.json`).

curl -X PUT $HOST/$INDEX -H 'Content-Type: application/json' --data-binary @mapping.json
curl -X POST $HOST/$INDEX/_bulk -H 'Content-Type: application/x-ndjson' --data-binary @00000001-full/upsert-….ndjson
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from adaptor.artefact import Adaptor
from jobs.config.export import DestinationSection
from jobs.export.collection import Collection, VectorColumn
from jobs.export.folder import FolderTarget, LinesPart
from jobs.export.json_values import check_json_payload, json_rows
from jobs.export.json_vectors import json_vectors
from jobs.export.rows import Rows
from jobs.export.target import Takes

_RESERVED = frozenset({"_id", "_index", "_source", "_routing", "_type", "_ignored", "_field_names", "_doc_count"})
_ELASTIC_TYPES = {"float32": "float", "float16": "float", "int8": "byte", "binary": "bit"}
_ELASTIC_SIMILARITIES = {"cosine": "cosine", "dot": "max_inner_product", "l2": "l2_norm", "hamming": "l2_norm"}
_OPENSEARCH_TYPES = {"float32": "float", "float16": "float", "int8": "byte", "binary": "binary"}
_OPENSEARCH_SPACES = {"cosine": "cosinesimil", "dot": "innerproduct", "l2": "l2", "hamming": "hamming"}


class Elasticsearch(FolderTarget):
    """A `Target`."""

    takes: ClassVar[Takes] = Takes(
        encodings={"float32": 4096, "float16": 4096, "int8": 4096, "binary": 4096},
        indexes=("hnsw", "none"),
        reserved=_RESERVED,
        id_bytes=512,
    )

    def __init__(self, destination: DestinationSection, collection: Collection, adaptor: Adaptor | None) -> None:
        super().__init__(destination, collection, adaptor)
        check_json_payload(collection)
        self.indexed = (destination.index or self.takes.indexes[0]) == "hnsw"

    def upserts(self, path: Path) -> LinesPart:
        """Two lines a row."""
        return LinesPart(path, self._index_lines)

    def deletes(self, path: Path) -> LinesPart:
        """A line a row."""
        return LinesPart(path, _delete_lines)

    def side_files(self) -> Mapping[str, bytes]:
        """The body of the request that makes the index."""
        fields = {column.name: self.vector_field(column) for column in self.collection.vectors}
        others = {field.name: kind for field in self.collection.payload if (kind := _field(field.type))}
        identity = {self.collection.id_column: {"type": "keyword"}}
        mappings = {"_meta": {"matryoshka": self.collection.stamp}, "properties": identity | fields | others}
        return {"mapping.json": json.dumps(self.index_settings() | {"mappings": mappings}, indent=1).encode() + b"\n"}

    def index_settings(self) -> dict[str, Any]:
        """What stands beside the mappings."""
        return {}

    def vector_field(self, column: VectorColumn) -> dict[str, Any]:
        """The field of a vector column; the second one, for rescoring, is not indexed."""
        field = {"type": "dense_vector", "dims": column.dim, "element_type": _ELASTIC_TYPES[column.encoding]}
        if not self.indexed or column != self.collection.vector:
            return field | {"index": False}
        return field | {"index": True, "similarity": _ELASTIC_SIMILARITIES[self.collection.comparison(column)]}

    def _index_lines(self, rows: Rows) -> Iterator[str]:
        names = [json.dumps(column.name, ensure_ascii=False) for column in self.collection.vectors]
        vectors = [json_vectors(rows.codes(column)) for column in self.collection.vectors]
        payload = json_rows(rows, self.collection.payload)
        for row, text in enumerate(rows.texts):
            told = json.dumps({self.collection.id_column: text, **payload[row]}, ensure_ascii=False)
            numbers = ",".join(f"{name}:{values[row]}" for name, values in zip(names, vectors, strict=True))
            yield json.dumps({"index": {"_id": text}}, ensure_ascii=False)
            yield f"{{{numbers},{told[1:]}"


class OpenSearch(Elasticsearch):
    """A `Target`: the same files, another mapping. Bits need the faiss engine, all else takes Lucene's."""

    takes: ClassVar[Takes] = Takes(
        encodings=dict.fromkeys(_OPENSEARCH_TYPES, 16_000),
        indexes=("hnsw", "none"),
        reserved=_RESERVED,
        id_bytes=512,
    )

    def index_settings(self) -> dict[str, Any]:
        """k-NN must be switched on."""
        return {"settings": {"index": {"knn": self.indexed}}}

    def vector_field(self, column: VectorColumn) -> dict[str, Any]:
        """The field of a vector column."""
        field = {"type": "knn_vector", "dimension": column.dim, "data_type": _OPENSEARCH_TYPES[column.encoding]}
        if not self.indexed or column != self.collection.vector:
            return field
        engine = "faiss" if column.encoding == "binary" else "lucene"
        space = _OPENSEARCH_SPACES[self.collection.comparison(column)]
        return field | {"space_type": space, "method": {"name": "hnsw", "engine": engine}}


def _delete_lines(rows: Rows) -> Iterator[str]:
    return (json.dumps({"delete": {"_id": text}}, ensure_ascii=False) for text in rows.texts)


def _field(kind: pa.DataType) -> dict[str, str] | None:
    """The field of a payload column whose type the engine would guess wrongly."""
    if pa.types.is_uint64(kind):
        return {"type": "unsigned_long"}
    return {"type": "binary"} if pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind) else None
