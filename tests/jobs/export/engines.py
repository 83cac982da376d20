"""The engines of the conformance tests (test_engines.py): where each is, what it holds, and how it is searched."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import pyarrow.parquet as pq
import pytest

from adaptor.rows import Floats
from tests.jobs.export.importers import IMPORTERS
from tests.jobs.export.versions import VersionMaker

#: Ids as text → codes of the first vector column.
Held = dict[str, Any]


class Engine(Protocol):
    """A real engine with a collection `name`, filled by export from what `maker` wrote."""

    target: ClassVar[str]
    #: Encodings that are tried, the first for all tests.
    encodings: ClassVar[tuple[str, ...]]
    #: Further settings of `destination`.
    settings: ClassVar[dict[str, Any]]
    uri: str

    def held(self, name: str, maker: VersionMaker) -> Held:
        """All rows."""

    def search(self, name: str, maker: VersionMaker, queries: Floats, k: int) -> list[list[str]]:
        """Ids of the k nearest rows of raw queries (q, d), exactly."""


def codec_queries(maker: VersionMaker, queries: Floats) -> Any:
    """Raw queries as the first column is searched: floats for floats, codes for codes."""
    codec = maker.adaptor.codec(dim=maker.dim, encoding=maker.encoding)
    return codec.transform(queries) if maker.encoding in ("float32", "float16") else codec.encode(queries)


@dataclass
class LanceEngine:
    """LanceDB in a folder."""

    uri: str
    target: ClassVar[str] = "lancedb"
    encodings: ClassVar[tuple[str, ...]] = ("float32", "float16", "binary")
    settings: ClassVar[dict[str, Any]] = {}

    def table(self, name: str) -> Any:
        """The table."""
        import lancedb

        return lancedb.connect(self.uri).open_table(name)

    def held(self, name: str, maker: VersionMaker) -> Held:
        """All rows."""
        table = self.table(name).to_arrow()
        return dict(zip(map(str, table["id"].to_pylist()), table["vector"].to_pylist(), strict=True))

    def search(self, name: str, maker: VersionMaker, queries: Floats, k: int) -> list[list[str]]:
        """Flat."""
        table = self.table(name)
        metric = "hamming" if maker.encoding == "binary" else maker.adaptor.metric
        return [
            [
                str(row["id"])
                for row in table.search(query, vector_column_name="vector").distance_type(metric).limit(k).to_list()
            ]
            for query in codec_queries(maker, queries)
        ]


@dataclass
class PostgresEngine:
    """PostgreSQL with pgvector."""

    uri: str
    target: ClassVar[str] = "pgvector"
    encodings: ClassVar[tuple[str, ...]] = ("float16", "float32", "binary")
    settings: ClassVar[dict[str, Any]] = {"index": "none"}

    def rows(self, statement: Any, parameters: Any = None) -> list[Any]:
        """What a statement gives."""
        import psycopg

        with psycopg.connect(self.uri) as connection:
            found: list[Any] = connection.execute(statement, parameters).fetchall()
            return found

    def held(self, name: str, maker: VersionMaker) -> Held:
        """All rows."""
        found = self.rows(f'select id::text, vector::text from "{name}"')  # noqa: S608  # a name of the test's own
        if maker.encoding == "binary":
            bits = {row: np.frombuffer(text.encode(), np.uint8) - ord("0") for row, text in found}
            return {row: np.packbits(bit).tolist() for row, bit in bits.items()}
        return {row: json.loads(text) for row, text in found}

    def search(self, name: str, maker: VersionMaker, queries: Floats, k: int) -> list[list[str]]:
        """With the statement that export prints."""
        from jobs.export.collection import describe_collection
        from jobs.export.targets.pgvector import search_statement

        statement = search_statement(describe_collection(name, maker.description, maker.schema, None))
        texts = [as_literal(query) for query in codec_queries(maker, queries)]
        return [[str(row) for (row,) in self.rows(statement, {"query": text, "limit": k})] for text in texts]


def as_literal(query: Any) -> str:
    """Numbers as pgvector writes them, packed bits as a bit string."""
    if query.dtype == np.uint8:
        return "".join(map(str, np.unpackbits(query).tolist()))
    return json.dumps([float(number) for number in query])


@dataclass
class FaissEngine:
    """faiss in this process."""

    uri: str
    target: ClassVar[str] = "faiss"
    encodings: ClassVar[tuple[str, ...]] = ("float32", "float16", "int8", "int4")
    settings: ClassVar[dict[str, Any]] = {}

    def held(self, name: str, maker: VersionMaker) -> Held:
        """Ids and what their codes stand for; the lengths are 1."""
        import faiss

        index: Any = faiss.read_index(f"{self.uri}/{name}/index.faiss")
        inner = faiss.downcast_index(index.index)
        vectors = inner.reconstruct_n(0, inner.ntotal)
        return dict(zip(self._ids(name), vectors.tolist(), strict=True))

    def search(self, name: str, maker: VersionMaker, queries: Floats, k: int) -> list[list[str]]:
        """Raw queries: the map is in the index."""
        import faiss

        _, rows = faiss.read_index(f"{self.uri}/{name}/index.faiss").search(queries, k)
        ids = self._ids(name)
        return [[ids[row] for row in found] for found in rows]

    def _ids(self, name: str) -> list[str]:
        return [str(row) for row in pq.read_table(f"{self.uri}/{name}/ids.parquet")["id"].to_pylist()]


@dataclass
class QdrantEngine:
    """The local mode of Qdrant's client."""

    uri: str
    target: ClassVar[str] = "qdrant"
    encodings: ClassVar[tuple[str, ...]] = ("float16", "float32", "uint8")
    settings: ClassVar[dict[str, Any]] = {}

    def client(self) -> Any:
        """The client, to be closed."""
        from qdrant_client import QdrantClient

        return closing(QdrantClient(path=self.uri))

    def held(self, name: str, maker: VersionMaker) -> Held:
        """All points, by the id in their payload; for cosine Qdrant stores vectors of length 1."""
        with self.client() as client:
            points, _ = client.scroll(name, limit=10_000, with_vectors=True)
        return {str(point.payload["id"]): point.vector for point in points}

    def search(self, name: str, maker: VersionMaker, queries: Floats, k: int) -> list[list[str]]:
        """Exactly."""
        with self.client() as client:
            return [
                [str(point.payload["id"]) for point in client.query_points(name, query.tolist(), limit=k).points]
                for query in codec_queries(maker, queries).astype(float)
            ]


@dataclass
class MilvusEngine:
    """Milvus Lite."""

    uri: str
    target: ClassVar[str] = "milvus"
    encodings: ClassVar[tuple[str, ...]] = ("float32",)
    settings: ClassVar[dict[str, Any]] = {"index": "flat"}

    def client(self) -> Any:
        """The client, to be closed."""
        from pymilvus import MilvusClient

        return closing(MilvusClient(uri=self.uri))

    def held(self, name: str, maker: VersionMaker) -> Held:
        """All rows."""
        with self.client() as client:
            rows = client.query(name, filter="", output_fields=["id", "vector"], limit=10_000)
        return {str(row["id"]): row["vector"] for row in rows}

    def search(self, name: str, maker: VersionMaker, queries: Floats, k: int) -> list[list[str]]:
        """With the FLAT index."""
        with self.client() as client:
            found = client.search(name, codec_queries(maker, queries).tolist(), limit=k, output_fields=["id"])
        return [[str(hit["id"]) for hit in hits] for hits in found]


@dataclass
class RedisEngine:
    """Redis 8."""

    uri: str
    target: ClassVar[str] = "redis"
    encodings: ClassVar[tuple[str, ...]] = ("float32", "float16")
    settings: ClassVar[dict[str, Any]] = {"index": "noquant"}

    def client(self) -> Any:
        """The client, to be closed."""
        import redis

        return closing(redis.Redis.from_url(self.uri))

    def held(self, name: str, maker: VersionMaker) -> Held:
        """All elements. Redis stores directions and lengths: what comes back has float rounding."""
        with self.client() as client:
            names = client.execute_command("VRANDMEMBER", name, 1_000_000)
            return {
                member.decode(): [float(number) for number in client.execute_command("VEMB", name, member)]
                for member in names
            }

    def search(self, name: str, maker: VersionMaker, queries: Floats, k: int) -> list[list[str]]:
        """Exactly (TRUTH)."""
        with self.client() as client:
            return [
                [
                    member.decode()
                    for member in client.execute_command(
                        "VSIM", name, "FP32", query.astype("<f4").tobytes(), "COUNT", k, "TRUTH"
                    )
                ]
                for query in codec_queries(maker, queries)
            ]


_ALL = (LanceEngine, PostgresEngine, FaissEngine, QdrantEngine, MilvusEngine, RedisEngine, *IMPORTERS)
ENGINES: dict[str, type[Any]] = {engine.target: engine for engine in _ALL}
#: The library of each, without which it is skipped.
LIBRARIES = {
    "lancedb": "lancedb",
    "pgvector": "psycopg",
    "faiss": "faiss",
    "qdrant": "qdrant_client",
    "milvus": "milvus_lite",
    "redis": "redis",
}


def params(*names: str) -> list[Any]:
    """These engines for a test; those that are not everywhere are marked."""
    marks = {name: [pytest.mark.engines] for name in LIBRARIES if name != "faiss"}
    return [pytest.param(name, marks=marks.get(name, [])) for name in names]


def overlap(found: Sequence[Sequence[str]], distances: dict[str, Floats], k: int) -> float:
    """Share of the k nearest that was found; among rows at one distance any is right. `distances`: id → (q,)."""
    matrix = np.stack(list(distances.values()), axis=1)
    limits = np.sort(matrix, axis=1)[:, k - 1] + 1e-5
    hits = [
        sum(bool(distances[name][query] <= limits[query]) for name in dict.fromkeys(names))
        for query, names in enumerate(found)
    ]
    return sum(hits) / (k * len(found))


def exact_distances(maker: VersionMaker, queries: Floats) -> dict[str, Floats]:
    """id → distances of all queries (q,) by numpy, as an engine should compare."""
    codec = maker.adaptor.codec(dim=maker.dim, encoding=maker.encoding)
    full = np.array([row["full"] for row in maker.rows.values()], np.float32)
    codes = codec.encode(full)
    if maker.encoding == "binary":
        bits, asked = np.unpackbits(codes, axis=1), np.unpackbits(codec.encode(queries), axis=1)
        matrix = (asked[:, None, :] != bits[None]).sum(axis=2).astype(np.float32)
    elif maker.encoding in ("int8", "uint8") and maker.integers:
        numbers, coded = codes.astype(np.float64), codec.encode(queries).astype(np.float64)
        if maker.encoding == "uint8":
            matrix = ((coded[:, None, :] - numbers[None]) ** 2).sum(axis=2)
        else:
            lengths = np.linalg.norm(numbers, axis=1) * np.linalg.norm(coded, axis=1)[:, None]
            matrix = -(coded @ numbers.T) / lengths
    else:
        matrix = -codec.score(queries, codes)
    return {str(name): matrix[:, row] for row, name in enumerate(maker.rows)}
