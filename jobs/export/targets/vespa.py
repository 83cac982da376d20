"""Vespa: files for `vespa feed`, and a schema to start from. With `destination.payload: []` only vectors are updated,
in documents that are there or not.

    vespa feed 00000001-full/upsert-….ndjson
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import pyarrow as pa

from adaptor.artefact import Adaptor
from adaptor.errors import InputError
from jobs.config.export import DestinationSection
from jobs.export.collection import Collection, VectorColumn
from jobs.export.flat_payload import flat_rows
from jobs.export.folder import FolderTarget, LinesPart
from jobs.export.json_values import check_json_payload
from jobs.export.json_vectors import json_vectors
from jobs.export.rows import Rows
from jobs.export.target import Takes

_METRICS = {"cosine": "angular", "dot": "dotproduct", "l2": "euclidean", "hamming": "hamming"}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Vespa(FolderTarget):
    """A `Target`. float16 goes into float tensors: Vespa's own short type, bfloat16, has fewer digits."""

    takes: ClassVar[Takes] = Takes(
        encodings=dict.fromkeys(("float32", "float16", "int8", "binary")),
        indexes=("hnsw", "none"),
        reserved=frozenset({"documentid", "sddocname"}),
    )

    def __init__(self, destination: DestinationSection, collection: Collection, adaptor: Adaptor | None) -> None:
        super().__init__(destination, collection, adaptor)
        check_json_payload(collection)
        if wrong := [name for name in collection.schema.names if not _NAME.fullmatch(name)]:
            raise InputError(
                f"Vespa's names have letters, digits and _ only, column {wrong[0]!r} has others: rename it, or leave "
                "it out (destination.payload)"
            )
        self._indexed = (destination.index or self.takes.indexes[0]) == "hnsw"
        self._updates = destination.payload == ()

    def upserts(self, path: Path) -> LinesPart:
        """A line a row."""
        return LinesPart(path, self._lines)

    def deletes(self, path: Path) -> LinesPart:
        """A line a row."""
        return LinesPart(path, self._remove_lines)

    def side_files(self) -> Mapping[str, bytes]:
        """The schema."""
        kinds = {column.name: column for column in self.collection.vectors}
        identity = self.collection.id_column
        fields = [] if self._updates else [f"field {identity} type string {{ indexing: attribute | summary }}"]
        fields += [self._vector_field(column) for column in kinds.values()]
        fields += [
            f"field {field.name} type {vespa_type(field.type)} {{ indexing: summary }}"
            for field in self.collection.payload
        ]
        name = self.collection.name
        body = "\n".join(f"        {field}" for field in fields)
        text = f"schema {name} {{\n    document {name} {{\n{body}\n    }}\n}}\n"
        return {f"{name}.sd": text.encode()}

    def _vector_field(self, column: VectorColumn) -> str:
        cells = "float" if column.encoding.startswith("float") else "int8"
        width = column.dim // 8 if column.encoding == "binary" else column.dim
        metric = f"attribute {{ distance-metric: {_METRICS[self.collection.comparison(column)]} }}"
        indexed = self._indexed and column == self.collection.vector
        how = "attribute | index" if indexed else "attribute"
        return f"field {column.name} type tensor<{cells}>(x[{width}]) {{ indexing: {how} {metric} }}"

    def _lines(self, rows: Rows) -> Iterator[str]:
        vectors = {json.dumps(column.name): json_vectors(rows.codes(column)) for column in self.collection.vectors}
        payload = flat_rows(rows, self.collection, lambda kind: vespa_type(kind) not in ("string", "raw"))
        for row, text in enumerate(rows.texts):
            name = json.dumps(self._document(text), ensure_ascii=False)
            if self._updates:
                parts = (f'{field}:{{"assign":{{"values":{values[row]}}}}}' for field, values in vectors.items())
                yield f'{{"update":{name},"create":true,"fields":{{{",".join(parts)}}}}}'
                continue
            told = json.dumps({self.collection.id_column: text, **payload[row]}, ensure_ascii=False)
            parts = (f'{field}:{{"values":{values[row]}}}' for field, values in vectors.items())
            yield f'{{"put":{name},"fields":{{{",".join(parts)},{told[1:]}}}'

    def _remove_lines(self, rows: Rows) -> Iterator[str]:
        return (json.dumps({"remove": self._document(text)}, ensure_ascii=False) for text in rows.texts)

    def _document(self, text: str) -> str:
        return f"id:{self.collection.name}:{self.collection.name}::{text}"


def vespa_type(kind: pa.DataType) -> str:
    """The type of a payload field; what has no type of its own is text."""
    if pa.types.is_boolean(kind):
        return "bool"
    if pa.types.is_integer(kind) and not pa.types.is_uint64(kind):
        return "long"
    if pa.types.is_floating(kind):
        return "double"
    if pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return "raw"
    if pa.types.is_list(kind) and not pa.types.is_nested(kind.value_type):
        inner = vespa_type(kind.value_type)
        return f"array<{inner}>" if inner != "raw" else "string"
    return "string"
