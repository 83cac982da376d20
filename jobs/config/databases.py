"""What vector databases hold and how they compare it: what `advise --for` emulates. To add one: a line in DATABASES.

Only what was tried with the engine, or stands in its manual, is listed. What a database makes of floats by itself is
listed where its quantiser is known to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

#: How stored codes are compared with a query.
#: floats: the query stays float; integers: the query is coded like the documents; euclid: so too, by Euclidean
#: distance; hamming: sign codes on both sides, by the bits that differ. Of floats a database may make codes by itself.
#: own_int8: each vector, the query too, rounded to whole numbers up to 127 of its own largest number; own_signs: the
#: signs of the numbers, by the bits that differ, and the nearest rescored by the floats.
Compared = Literal["floats", "integers", "euclid", "hamming", "own_int8", "own_signs"]
_MADE_INSIDE = {"own_int8": " > int8", "own_signs": " > signs"}


@dataclass(frozen=True)
class Held:
    """A kind of column: the `encoding` that is given to the database, how it is compared, and the most numbers that a
    vector may have."""

    encoding: str
    compared: Compared = "floats"
    most_dims: int | None = None

    @property
    def name(self) -> str:
        """What the column is called in tables and records: the encoding, and what becomes of it inside."""
        return self.encoding + _MADE_INSIDE.get(self.compared, "")


@dataclass(frozen=True)
class Database:
    """What a database holds, in words and in kinds of columns. Every one holds float32."""

    title: str
    does: str
    held: tuple[Held, ...]


_INTEGERS, _SIGNS, _FLOAT16 = Held("int8", "integers"), Held("binary", "hamming"), Held("float16")

DATABASES: Mapping[str, Database] = {
    "milvus": Database(
        "Milvus",
        "compares int8 vectors as integers and binary ones by Hamming distance; rescoring takes a second field",
        (_FLOAT16, _INTEGERS, _SIGNS),
    ),
    "pgvector": Database(
        "PostgreSQL with pgvector",
        "holds vector (float32), halfvec (float16) and bit; one SQL statement takes the nearest bits by Hamming "
        "distance and rescores them by halfvec",
        (Held("float32", most_dims=2000), Held("float16", most_dims=4000), Held("binary", "hamming", 64000)),
    ),
    "qdrant": Database(
        "Qdrant",
        "holds float32, float16 and uint8, which must be searched by Euclidean distance; its binary quantisation takes "
        "the signs of floats as they are, its others are not emulated",
        (_FLOAT16, Held("uint8", "euclid"), Held("float16", "own_signs")),
    ),
    "elasticsearch": Database(
        "Elasticsearch",
        "compares byte vectors as integers and bit vectors by Hamming distance; its own quantisation (BBQ, int8, int4) "
        "is not emulated",
        (Held("float32", most_dims=4096), Held("int8", "integers", 4096), Held("binary", "hamming", 4096)),
    ),
    "opensearch": Database(
        "OpenSearch",
        "compares byte vectors as integers and binary vectors by Hamming distance; its own quantisation is not "
        "emulated",
        (_INTEGERS, _SIGNS),
    ),
    "vespa": Database(
        "Vespa",
        "compares int8 tensors as integers and packed bits by Hamming distance; a second ranking phase rescores",
        (_INTEGERS, _SIGNS),
    ),
    "lancedb": Database(
        "LanceDB",
        "searches float32 and float16 columns, and packed bits by Hamming distance; it cannot search int8",
        (_FLOAT16, _SIGNS),
    ),
    "sqlite-vec": Database(
        "SQLite with sqlite-vec",
        "compares int8 vectors as integers and bit vectors by Hamming distance",
        (Held("float32", most_dims=8192), Held("int8", "integers", 8192), Held("binary", "hamming", 8192)),
    ),
    "usearch": Database(
        "USearch",
        "compares int8 vectors as integers and packed bits by Hamming distance",
        (_FLOAT16, _INTEGERS, _SIGNS),
    ),
    "redis": Database(
        "Redis vector sets",
        "takes float32 and rounds each vector to int8 of its own scale, unless it is told NOQUANT",
        (Held("float32", "own_int8"),),
    ),
    "duckdb": Database("DuckDB", "searches float32 only", ()),
    "hnswlib": Database("hnswlib", "searches float32 only", ()),
    "chroma": Database("Chroma", "searches float32 only", ()),
    "weaviate": Database("Weaviate", "takes float32 only; its own quantisation is not emulated", ()),
    "faiss": Database(
        "faiss",
        "scores a float query against decoded int8 and int4 codes (IndexFlat; its ScalarQuantizer does not divide "
        "lengths out), and compares bits by Hamming distance (IndexBinaryFlat)",
        (_FLOAT16, Held("int8"), Held("int4"), _SIGNS),
    ),
}
