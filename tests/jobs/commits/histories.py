"""Output versions made by hand: what a complete run of compress leaves, and what loaders make of it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.commits.manifest import Manifest, OutputFile
from jobs.commits.sequences import Contents, add_sequence, retire_files, sweep
from jobs.commits.version_reader import OP, VersionReader
from jobs.storage.local import LocalObjects

Rows = dict[str, int]  # id → what the row holds
Store = dict[str, Rows]  # shard → its rows
DESCRIPTION = {
    "adaptor_id": "a" * 64,
    "dim": 2,
    "encoding": "float32",
    "file_format": "parquet",
    "id_column": "id",
    "vector_column": "vector",
    "rescore": None,
}


class Crash(Exception):
    """The process dies."""


class Dying(LocalObjects):
    """Dies before its n-th write."""

    def __init__(self, uri: str, writes: int) -> None:
        super().__init__(uri)
        self.writes = writes

    def _count(self) -> None:
        self.writes -= 1
        if self.writes < 0:
            raise Crash

    def put(self, key: str, content: bytes) -> None:
        self._count()
        super().put(key, content)

    def put_new(self, key: str, content: bytes) -> bool:
        self._count()
        return super().put_new(key, content)

    def put_file(self, key: str, local: Path) -> None:
        self._count()
        super().put_file(key, local)

    def delete(self, key: str) -> None:
        self._count()
        super().delete(key)


def table(rows: Rows) -> pa.Table:
    """An output: ids, short vectors, a nested payload."""
    return pa.table(
        {
            "id": pa.array(list(rows), pa.string()),
            "vector": pa.array([[float(value), 1.0] for value in rows.values()], pa.list_(pa.float32(), 2)),
            "payload": pa.array([{"tags": ["x"] * (value % 3)} for value in rows.values()]),
        }
    )


def write_output(there: LocalObjects, shard: str, rows: Rows) -> OutputFile:
    """The output of a shard, under a name of its version, as compress commits it."""
    version = hashlib.sha256(repr(rows).encode()).hexdigest()[:16]
    key, sink = f"data/{shard}.{version}.parquet", pa.BufferOutputStream()
    pq.write_table(table(rows), sink)
    content = sink.getvalue().to_pybytes()
    if there.stat(key) is None:
        LocalObjects.put(there, key, content)
    digest = hashlib.sha256(content).hexdigest()
    return OutputFile(path=key, rows=len(rows), bytes=len(content), sha256=digest, shard=shard, source_version=version)


def run(there: LocalObjects, store: Store, keep: int, **evidence: Any) -> Manifest:
    """What a complete run of compress does at its end."""
    files = [write_output(there, shard, rows) for shard, rows in store.items()]
    manifest = add_sequence(there, Contents(description=DESCRIPTION, files=files, evidence=evidence), keep)
    named = {file.path for file in manifest.files}
    retire_files(there, {info.key for info in there.list("data/")} - named)
    sweep(there, keep, ())
    return manifest


def loaded(reader: VersionReader) -> Rows:
    """A fresh load."""
    batches = [batch for file in reader.manifest.files for batch in reader.batches(file, 3)]
    return {row["id"]: int(row["vector"][0]) for batch in batches for row in batch.to_pylist()}


def applied(reader: VersionReader, rows: Rows, checkpoint: int) -> Rows:
    """What a loader has after the feeds since its checkpoint; a full load where they do not reach back so far."""
    feeds = reader.manifest.feeds_since(checkpoint)
    if feeds is None:
        return loaded(reader)
    rows = dict(rows)
    for feed in feeds:
        seen: set[str] = set()
        for batch in reader.feed_batches(feed, 2):
            for row in batch.to_pylist():
                assert row["id"] not in seen
                seen.add(row["id"])
                rows.pop(row["id"], None)
                if row[OP] == "upsert":
                    rows[row["id"]] = int(row["vector"][0])
    return rows
