"""Output versions as compress leaves them, made row by row: files, feeds and manifests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from adaptor.artefact import Adaptor
from adaptor.rows import Floats, unit_rows
from jobs.commits.manifest import Feed, Manifest, OutputFile, manifest_key
from tests.jobs.evaluate.inputs import make_adaptor, save_adaptor, with_fitted_codes

INPUT_DIM, DIM, RESCORE_DIM = 48, 32, 16

#: Vectors and payload of one id; None stands for a row without that value.
Row = dict[str, Any]
#: The rows of each shard, by id.
Shards = Mapping[str, Mapping[Any, Row]]


def vectors(rows: int, seed: int = 0) -> Floats:
    """(rows, INPUT_DIM) float32 of length 1, in clusters as embeddings are."""
    draws = np.random.default_rng(seed)
    centres = np.random.default_rng(77).normal(size=(12, INPUT_DIM))
    spread = np.linspace(2.0, 0.2, INPUT_DIM)
    noise = draws.normal(size=(rows, INPUT_DIM))
    return unit_rows(((centres[draws.integers(12, size=rows)] + noise) * spread).astype(np.float32))


def payload(number: int) -> Row:
    """Values of many types, some of them null."""
    return {
        "title": f'it\'s row {number} \\ "ü"\t\n' if number % 5 else None,
        "count": number - 3,
        "big": 2**63 + number,
        "score": number / 7 if number % 4 else float("nan"),
        "good": number % 2 == 0,
        "price": Decimal(number * 10_001 - 700_000) / 100,
        "day": datetime(2026, 1, 1 + number % 28, tzinfo=UTC).date(),
        "at": datetime(1969, 12, 31, 23, 59, number % 60, 250_000, tzinfo=UTC) if number % 3 else None,
        "tags": [f"t{tag}" for tag in range(number % 3)],
        "place": {"name": "x", "spot": {"lat": 1.5, "lon": number}},
        "raw": bytes([number % 256, 0, 255]),
        "owner": UUID(int=number),
    }


PAYLOAD = {
    "title": pa.string(),
    "count": pa.int64(),
    "big": pa.uint64(),
    "score": pa.float64(),
    "good": pa.bool_(),
    "price": pa.decimal128(20, 2),
    "day": pa.date32(),
    "at": pa.timestamp("us", "UTC"),
    "tags": pa.list_(pa.string()),
    "place": pa.struct([("name", pa.string()), ("spot", pa.struct([("lat", pa.float64()), ("lon", pa.int64())]))]),
    "raw": pa.binary(),
    "owner": pa.uuid(),
}


def new_adaptor(seed: int = 0, metric: Any = "cosine") -> Adaptor:
    """An adaptor with codes for DIM and RESCORE_DIM."""
    sample = vectors(400, 1000 + seed)
    return with_fitted_codes(make_adaptor(sample, (RESCORE_DIM, DIM), metric), sample)


def rows_of(count: int, seed: int, prefix: str = "doc", *, start: int = 0, rich: bool = True) -> dict[Any, Row]:
    """Rows with ids `prefix-0` …, a vector each, and (rich) payload."""
    made = vectors(count, seed)
    return {
        f"{prefix}-{start + row}": {"full": made[row], **(payload(start + row) if rich else {})} for row in range(count)
    }


@dataclass
class VersionMaker:
    """The folder of an output version. `commit` adds a sequence that holds exactly these rows."""

    folder: Path
    adaptor: Adaptor
    encoding: str = "float32"
    rescore: str | None = None
    dim: int = DIM
    #: Whether the engine compares codes of 8 bits as whole numbers.
    integers: bool = True
    id_type: pa.DataType = field(default_factory=pa.string)
    payload_types: Mapping[str, pa.DataType] = field(default_factory=dict)
    shards: dict[str, dict[Any, Row]] = field(default_factory=dict)
    files: dict[str, OutputFile] = field(default_factory=dict)
    feeds: list[Feed] = field(default_factory=list)
    sequence: int = 0

    @property
    def rows(self) -> dict[Any, Row]:
        """All rows, by id."""
        return {name: row for shard in self.shards.values() for name, row in shard.items()}

    @property
    def description(self) -> dict[str, Any]:
        """As output_version.json has it."""
        second = {"dim": RESCORE_DIM, "encoding": self.rescore, "column": "vector_rescore"}
        return {
            "format": 2,
            "adaptor_id": self.adaptor.adaptor_id,
            "input_dim": INPUT_DIM,
            "dim": self.dim,
            "metric": self.adaptor.metric,
            "normalised": self.adaptor.metric == "cosine",
            "encoding": self.encoding,
            "rescore": second if self.rescore else None,
            "file_format": "parquet",
            "row_group_rows": 64,
            "compression": "none",
            "source": "/somewhere",
            "id_column": "id",
            "vector_column": "vector",
            "columns": None,
        }

    def commit(self, shards: Shards, *, forget_feeds: bool = False) -> Manifest:
        """Write changed shards, the feed and the manifest of the next sequence."""
        before, self.sequence = self.rows, self.sequence + 1
        for shard in self.files.keys() - shards.keys():
            self._supersede(self.files.pop(shard))
        for shard, rows in shards.items():
            if self.shards.get(shard) is not rows:
                self.files[shard] = self._write_shard(shard, rows)
        self.shards = dict(shards)  # type: ignore[arg-type]
        if forget_feeds:
            self.feeds = []
        elif self.sequence > 1:
            self.feeds.append(self._write_feed(before, self.rows))
        manifest = Manifest(
            sequence=self.sequence,
            created="2026-11-30T00:00:00Z",
            description=self.description,
            source_snapshot=None,
            files=list(self.files.values()),
            feeds=list(self.feeds),
        )
        for key in ("manifest.json", manifest_key(self.sequence)):
            (self.folder / key).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / key).write_bytes(manifest.to_json())
        return manifest

    def table(self, rows: Mapping[Any, Row], schema: pa.Schema | None = None) -> pa.Table:
        """Rows as the output holds them."""
        schema = schema or self.schema
        full = np.array([row["full"] for row in rows.values()], np.float32).reshape(-1, INPUT_DIM)
        columns: dict[str, Any] = {"id": pa.array(list(rows), self.id_type)}
        for column, dim, encoding in self.vector_columns:
            columns[column] = encoded(self.adaptor, full, dim, encoding, schema.field(column).type)
        for name, kind in self.payload_types.items():
            values = [row.get(name) for row in rows.values()]
            columns[name] = plain_array(values, kind)
        return pa.table([columns[name] for name in schema.names], schema=schema)

    @property
    def vector_columns(self) -> list[tuple[str, int, str]]:
        """Name, dim and encoding of each column of vectors."""
        second = [("vector_rescore", RESCORE_DIM, self.rescore)] if self.rescore else []
        return [("vector", self.dim, self.encoding), *second]

    @property
    def schema(self) -> pa.Schema:
        """Payload first, as a source may have it."""
        vector, *others = [(name, arrow_type(dim, encoding)) for name, dim, encoding in self.vector_columns]
        return pa.schema([*self.payload_types.items(), ("id", self.id_type), vector, *others])

    def _write_shard(self, shard: str, rows: Mapping[Any, Row]) -> OutputFile:
        path = f"data/{shard.removesuffix('.parquet')}.{self.sequence}.parquet"
        rows_written, size, digest = self._write(path, self.table(rows))
        if shard in self.files:
            self._supersede(self.files[shard])
        return OutputFile(path=path, rows=rows_written, bytes=size, sha256=digest, shard=shard, source_version="1")

    def _supersede(self, file: OutputFile) -> None:
        """Move a file that no longer counts, and tell the older manifests."""
        moved = replace(file, path=file.path.replace("data/", "_superseded/", 1))
        (self.folder / moved.path).parent.mkdir(exist_ok=True)
        (self.folder / file.path).rename(self.folder / moved.path)
        for path in (self.folder / "manifests").glob("*.json"):
            manifest = Manifest.from_json(path.read_bytes(), str(path))
            files = [moved if other.path == file.path else other for other in manifest.files]
            path.write_bytes(replace(manifest, files=files).to_json())

    def _write_feed(self, before: Mapping[Any, Row], now: Mapping[Any, Row]) -> Feed:
        upserts = {name: row for name, row in now.items() if before.get(name) is not row}
        deleted = [name for name in before if name not in now]
        schema = self.schema
        kept = self.table(upserts)
        gone = pa.table(
            [
                pa.array(deleted, field.type) if field.name == "id" else pa.nulls(len(deleted), field.type)
                for field in schema
            ],
            schema=pa.schema([field.with_nullable(True) for field in schema]),
        )
        both = pa.concat_tables([gone, kept], promote_options="default")
        table = both.add_column(0, "op", pa.array(["delete"] * len(deleted) + ["upsert"] * len(upserts), pa.string()))
        path = f"_feeds/{self.sequence:08}.parquet"
        _, size, digest = self._write(path, table)
        return Feed(
            sequence=self.sequence, path=path, upserts=len(upserts), deletes=len(deleted), bytes=size, sha256=digest
        )

    def _write(self, path: str, table: pa.Table) -> tuple[int, int, str]:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, file, row_group_size=64)
        content = file.read_bytes()
        return table.num_rows, len(content), hashlib.sha256(content).hexdigest()


def plain_array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Values as an Arrow array, UUIDs too."""
    if isinstance(kind, pa.UuidType):
        raw = [None if value is None else value.bytes for value in values]
        return pa.ExtensionArray.from_storage(kind, pa.array(raw, pa.binary(16)))
    return pa.array(values, kind)


def arrow_type(dim: int, encoding: str) -> pa.DataType:
    """Type of a column of vectors in an output."""
    bits = {"int4": 4, "int2": 2, "binary": 1}.get(encoding)
    return pa.binary(dim * bits // 8) if bits else pa.list_(pa.from_numpy_dtype(encoding), dim)


def encoded(adaptor: Adaptor, full: Floats, dim: int, encoding: str, kind: pa.DataType) -> pa.Array:
    """Full vectors (n, d) as a column of codes."""
    codes = adaptor.codec(dim=dim, encoding=encoding).encode(full)
    if pa.types.is_fixed_size_binary(kind):
        return pa.array([code.tobytes() for code in codes], kind)
    return pa.FixedSizeListArray.from_arrays(pa.array(codes.reshape(-1)), dim)


def save(adaptor: Adaptor, folder: Path) -> str:
    """Write the artefact; its uri."""
    return save_adaptor(adaptor, folder)


def pointer(folder: Path, version: str, sequence: int) -> None:
    """What is promoted."""
    told = {
        "format": 1,
        "output_version": version,
        "sequence": sequence,
        "adaptor_id": "…",
        "promoted": "2026-11-30T00:00:00Z",
        "earlier": [],
    }
    (folder / "current.json").write_text(json.dumps(told))
