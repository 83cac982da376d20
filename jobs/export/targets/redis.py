"""Redis 8: a vector set, whose elements are the ids as text, with the payload as JSON attributes. It compares by cosine
and quantises by itself (`destination.index`). The note is a key beside it. The password comes from REDIS_PASSWORD.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import redis

from adaptor.artefact import Adaptor
from adaptor.errors import InputError
from jobs.config.export import DestinationSection
from jobs.export.collection import Collection
from jobs.export.json_values import check_json_payload, json_rows
from jobs.export.rows import Rows
from jobs.export.state import STATE_KEY, State
from jobs.export.target import Takes

_TIMEOUT_SECONDS = 120


class Redis:
    """A `Target`."""

    takes: ClassVar[Takes] = Takes(
        encodings={"float32": 65_536, "float16": 65_536},
        comparisons=frozenset({"cosine"}),
        indexes=("q8", "noquant", "bin"),
        rescore=False,
        batch_rows=512,
    )
    failures: tuple[type[Exception], ...] = (redis.RedisError,)

    def __init__(self, destination: DestinationSection, collection: Collection, adaptor: Adaptor | None) -> None:
        check_json_payload(collection)
        self._uri, self._collection, self._key = destination.uri, collection, collection.name
        self._note_key = f"{self._key}:{STATE_KEY}"
        self._index = (destination.index or self.takes.indexes[0]).upper()
        self._client: Any = None

    def open(self) -> State | None:
        """Connect and read the note; a set that somebody deleted counts as none."""
        password = os.environ.get("REDIS_PASSWORD")
        options = {} if password is None else {"password": password}
        try:
            self._client = redis.Redis.from_url(self._uri, socket_timeout=_TIMEOUT_SECONDS, **options)
        except ValueError as problem:
            raise InputError(f"destination.uri: {problem}") from problem
        note, there = self._client.get(self._note_key), self._client.exists(self._key)
        if note is None and there:
            raise InputError(
                f"Redis key {self._key} exists and was not made by export: give another destination.collection"
            )
        if note is None:
            return None
        state = State.from_json(note, f"Redis key {self._note_key}")
        return state if there or state.files_loaded == 0 else None

    def create(self, state: State) -> None:
        """Nothing but the note: Redis knows no empty vector sets."""
        self._client.pipeline().delete(self._key).set(self._note_key, state.to_json()).execute()

    def write(self, rows: Iterator[Rows], *, new: bool) -> None:
        """VADD inserts or replaces; attributes of an older row go."""
        for part in rows:
            pipeline = self._client.pipeline(transaction=False)
            vectors = np.ascontiguousarray(part.codes(self._collection.vector), "<f4")
            for name, vector, payload in zip(
                part.texts, vectors, json_rows(part, self._collection.payload), strict=True
            ):
                attributes = json.dumps(payload, ensure_ascii=False) if payload else ""
                pipeline.execute_command(
                    "VADD", self._key, "FP32", vector.tobytes(), name, self._index, "SETATTR", attributes
                )
            pipeline.execute()

    def delete(self, rows: Iterator[Rows]) -> None:
        """VREM; it does nothing to absent elements."""
        for part in rows:
            pipeline = self._client.pipeline(transaction=False)
            for name in part.texts:
                pipeline.execute_command("VREM", self._key, name)
            pipeline.execute()

    def save(self, state: State) -> None:
        """Write the note."""
        self._client.set(self._note_key, state.to_json())

    def count(self) -> int:
        """Elements."""
        return int(self._client.execute_command("VCARD", self._key))

    def finish(self) -> list[str]:
        """The index is always up to date."""
        return []

    def close(self) -> None:
        """Disconnect."""
        if self._client is not None:
            self._client.close()
