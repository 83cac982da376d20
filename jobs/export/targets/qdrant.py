"""Qdrant: a collection of a server, or of the client's local mode (a folder). The note is in the collection's metadata.

Point ids are numbers or UUIDs; of other ids a UUID is made (point_ids.py), and the payload keeps the original one.
uint8 is compared by Euclidean distance. The key comes from QDRANT_API_KEY.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain
from typing import Any, ClassVar

from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import ApiException

from adaptor.artefact import Adaptor
from adaptor.errors import InputError
from jobs.config.export import DestinationSection
from jobs.config.uris import scheme_of
from jobs.export.collection import Collection, VectorColumn
from jobs.export.json_values import check_json_payload, json_rows
from jobs.export.parallel import send_all
from jobs.export.point_ids import point_ids
from jobs.export.rows import Rows
from jobs.export.state import STATE_KEY, State
from jobs.export.target import Takes

_DISTANCES = {"cosine": models.Distance.COSINE, "dot": models.Distance.DOT, "l2": models.Distance.EUCLID}
#: A request may have 32 MB; a batch stays far below it.
_REQUEST_BYTES = 8 << 20
_REQUESTS = 4
_TIMEOUT_SECONDS = 120


class Qdrant:
    """A `Target`."""

    takes: ClassVar[Takes] = Takes(
        encodings={"float32": 65_536, "float16": 65_536, "uint8": 65_536}, indexes=("hnsw", "none"), batch_rows=2048
    )
    failures: tuple[type[Exception], ...] = (ApiException, OSError, RuntimeError)

    def __init__(self, destination: DestinationSection, collection: Collection, adaptor: Adaptor | None) -> None:
        check_json_payload(collection)
        self._uri, self._collection, self._name = destination.uri, collection, collection.name
        self._index = destination.index or self.takes.indexes[0]
        self._remote = bool(scheme_of(self._uri))
        bytes_per_row = sum(column.dim * 12 for column in collection.vectors) + 2000  # as JSON, with some payload
        self._batch_rows = max(1, _REQUEST_BYTES // bytes_per_row)
        self._client: Any = None

    def open(self) -> State | None:
        """Connect and read the metadata."""
        if not self._remote and not os.path.isdir(self._uri):  # the client would make the folder
            return None
        self._connect()
        if not self._client.collection_exists(self._name):
            return None
        where = f"Qdrant collection {self._name}"
        if (note := self._note()) is None:
            raise InputError(f"{where} exists and was not made by export: give another destination.collection")
        return State.from_json(note, where)

    def create(self, state: State) -> None:
        """An empty collection with the note."""
        self._connect()
        self._client.delete_collection(self._name)
        settings = {column.name: self._vector_params(column) for column in self._collection.vectors}
        self._client.create_collection(
            self._name,
            vectors_config=settings if self._collection.rescore else settings[self._collection.vector.name],
            metadata={STATE_KEY: state.to_json()},
        )
        if self._note() is None:
            self._client.delete_collection(self._name)
            raise InputError(f"{self._uri} keeps no metadata of collections: Qdrant 1.16 or newer is needed")

    def write(self, rows: Iterator[Rows], *, new: bool) -> None:
        """Upsert points, several requests at once."""
        parts = chain.from_iterable(part.slices(self._batch_rows) for part in rows)
        send_all(self._upsert, parts, _REQUESTS if self._remote else 1)

    def delete(self, rows: Iterator[Rows]) -> None:
        """Delete points."""
        for part in rows:
            selector = models.PointIdsList(points=point_ids(part))
            self._client.delete(self._name, points_selector=selector, wait=True)

    def save(self, state: State) -> None:
        """Write the note."""
        self._client.update_collection(self._name, metadata={STATE_KEY: state.to_json()})

    def count(self) -> int:
        """Points."""
        return int(self._client.count(self._name, exact=True).count)

    def finish(self) -> list[str]:
        """Qdrant indexes by itself."""
        return []

    def close(self) -> None:
        """Disconnect."""
        if self._client is not None:
            self._client.close()

    def points(self, rows: Rows) -> Any:
        """Rows as Qdrant takes them."""
        payload = json_rows(rows, self._collection.payload)
        for told, value, text in zip(payload, rows.ids.to_pylist(), rows.texts, strict=True):
            told[self._collection.id_column] = value if isinstance(value, int) else text
        vectors: Any = {column.name: rows.codes(column).tolist() for column in self._collection.vectors}
        if not self._collection.rescore:
            vectors = vectors[self._collection.vector.name]
        return models.Batch(ids=point_ids(rows), vectors=vectors, payloads=payload)

    def _upsert(self, rows: Rows) -> None:
        self._client.upsert(self._name, points=self.points(rows), wait=True)

    def _connect(self) -> None:
        if self._client is None:
            key = os.environ.get("QDRANT_API_KEY")
            self._client = (
                QdrantClient(url=self._uri, api_key=key, timeout=_TIMEOUT_SECONDS, check_compatibility=False)
                if self._remote
                else QdrantClient(path=self._uri)
            )

    def _note(self) -> str | None:
        metadata = self._client.get_collection(self._name).config.metadata or {}
        return metadata.get(STATE_KEY)

    def _vector_params(self, column: VectorColumn) -> Any:
        searched = column == self._collection.vector and self._index == "hnsw"
        return models.VectorParams(
            size=column.dim,
            distance=_DISTANCES[self._collection.comparison(column)],
            datatype=column.encoding,
            hnsw_config=None if searched else models.HnswConfigDiff(m=0),
        )
