"""Milvus: a collection of a server, or of Milvus Lite (a file `….db`), which takes float32 only. Payload goes into the
dynamic field as JSON; the note is in the collection's properties. The token comes from MILVUS_TOKEN.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, ClassVar

from pymilvus import DataType, MilvusClient, MilvusException

from adaptor.artefact import Adaptor
from adaptor.errors import InputError
from jobs.config.export import DestinationSection
from jobs.config.uris import scheme_of
from jobs.export.collection import Collection, VectorColumn
from jobs.export.json_values import check_json_payload
from jobs.export.milvus_rows import METRICS, MOST_BYTES, has_number_ids, milvus_ids, milvus_payload
from jobs.export.rows import Rows
from jobs.export.state import STATE_KEY, State
from jobs.export.target import Takes

VECTOR_TYPES = {
    "float32": DataType.FLOAT_VECTOR,
    "float16": DataType.FLOAT16_VECTOR,
    "int8": DataType.INT8_VECTOR,
    "binary": DataType.BINARY_VECTOR,
}
_INDEXES = {"auto": "AUTOINDEX", "flat": "FLAT", "hnsw": "HNSW"}


class Milvus:
    """A `Target`."""

    takes: ClassVar[Takes] = Takes(
        encodings={"float32": 32_768, "float16": 32_768, "int8": 32_768, "binary": 262_144},
        indexes=("auto", "flat", "hnsw"),
        reserved=frozenset({"$meta"}),
        id_bytes=MOST_BYTES,
        batch_rows=2048,
    )
    failures: tuple[type[Exception], ...] = (MilvusException,)

    def __init__(self, destination: DestinationSection, collection: Collection, adaptor: Adaptor | None) -> None:
        check_json_payload(collection)
        self._uri, self._collection, self._name = destination.uri, collection, collection.name
        self._index = _INDEXES[destination.index or self.takes.indexes[0]]
        self._remote = bool(scheme_of(self._uri))
        if not self._remote and not self._uri.endswith(".db"):
            raise InputError(
                f"destination.uri is {self._uri!r}: give http://host:19530, or a file of Milvus Lite, ….db"
            )
        for column in collection.vectors:
            if not self._remote and column.encoding != "float32":
                raise InputError(
                    f"Milvus Lite ({self._uri}) holds float32 only, column {column.name!r} is {column.encoding}: give "
                    "the address of a server (http://host:19530), or compress into float32"
                )
            if column.encoding == "binary" and self._index == "HNSW":
                raise InputError("Milvus has no HNSW index of bits: set destination.index to auto or flat")
        self._client: Any = None

    def open(self) -> State | None:
        """Connect and read the properties."""
        if not self._remote and not os.path.exists(self._uri):  # connecting would make the file
            return None
        self._connect()
        if not self._client.has_collection(self._name):
            return None
        note = self._client.describe_collection(self._name)["properties"].get(STATE_KEY)
        where = f"Milvus collection {self._name}"
        if note is None:
            raise InputError(f"{where} exists and was not made by export: give another destination.collection")
        return State.from_json(note, where)

    def create(self, state: State) -> None:
        """An empty collection with its indexes and the note, loaded."""
        self._connect()
        self._client.drop_collection(self._name)
        indexes = self._client.prepare_index_params()
        for column in self._collection.vectors:
            metric = METRICS[self._collection.comparison(column)]
            kind = f"BIN_{self._index}" if column.encoding == "binary" and self._index == "FLAT" else self._index
            indexes.add_index(column.name, index_type=kind, metric_type=metric)
        schema = collection_schema(self._collection)
        properties = {STATE_KEY: state.to_json()}
        self._client.create_collection(self._name, schema=schema, index_params=indexes, properties=properties)

    def write(self, rows: Iterator[Rows], *, new: bool) -> None:
        """Insert, or upsert by id."""
        for part in rows:
            records = milvus_rows(part, self._collection)
            (self._client.insert if new else self._client.upsert)(self._name, records)

    def delete(self, rows: Iterator[Rows]) -> None:
        """Delete by id."""
        for part in rows:
            self._client.delete(self._name, ids=milvus_ids(part))

    def save(self, state: State) -> None:
        """Write the note."""
        self._client.alter_collection_properties(self._name, properties={STATE_KEY: state.to_json()})

    def count(self) -> int:
        """Rows, all that was sent included."""
        found = self._client.query(self._name, output_fields=["count(*)"], consistency_level="Strong")
        return int(found[0]["count(*)"])

    def finish(self) -> list[str]:
        """Milvus indexes by itself."""
        return []

    def close(self) -> None:
        """Disconnect."""
        if self._client is not None:
            self._client.close()

    def _connect(self) -> None:
        if self._client is None:
            token = os.environ.get("MILVUS_TOKEN", "")
            self._client = MilvusClient(uri=self._uri, token=token)


def collection_schema(collection: Collection) -> Any:
    """Id, vectors, and all else in the dynamic field."""
    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=True)
    if has_number_ids(collection.id_type):
        schema.add_field(collection.id_column, DataType.INT64, is_primary=True)
    else:
        schema.add_field(collection.id_column, DataType.VARCHAR, is_primary=True, max_length=MOST_BYTES)
    for column in collection.vectors:
        schema.add_field(column.name, VECTOR_TYPES[column.encoding], dim=column.dim)
    return schema


def milvus_rows(rows: Rows, collection: Collection) -> list[dict[str, Any]]:
    """Rows as the client takes them. Raises InputError for ids and payload that Milvus cannot hold."""
    records = milvus_payload(rows, collection)
    for record, name in zip(records, milvus_ids(rows), strict=True):
        record[collection.id_column] = name
    for column in collection.vectors:
        for record, vector in zip(records, _vectors(rows, column), strict=True):
            record[column.name] = vector
    return records


def _vectors(rows: Rows, column: VectorColumn) -> list[Any]:
    codes = rows.codes(column)
    return [code.tobytes() for code in codes] if column.encoding == "binary" else list(codes)
