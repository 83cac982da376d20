"""What tests/benchmarks/export.py loads: SciFact with made-up rows, as output versions of several kinds."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from adaptor.artefact import Adaptor
from adaptor.rows import Floats, unit_rows
from jobs.commits.manifest import Manifest, OutputFile

SCIFACT = Path(__file__).resolve().parents[1] / "data" / "scifact"
FILES = 4


@dataclass(frozen=True, kw_only=True)
class Variant:
    """How vectors are stored: (dim, encoding) of the first and the rescoring column; without `columns` as they were."""

    name: str
    columns: tuple[tuple[int, str], ...] = ()

    @property
    def bytes_per_vector(self) -> int:
        """Bytes of all numbers of a row."""
        bits = {"float32": 32, "float16": 16, "int8": 8, "binary": 1}
        return sum(dim * bits[encoding] // 8 for dim, encoding in self.columns or ((384, "float32"),))


BEFORE = Variant(name="384 float32")
SHORT = Variant(name="256 float16", columns=((256, "float16"),))
BITS = Variant(name="384 bits > 256 float16", columns=((384, "binary"), (256, "float16")))


@dataclass(frozen=True, kw_only=True)
class Data:
    """All rows with their ids, the test queries with theirs, and the judgments."""

    ids: list[str]
    rows: Floats
    query_ids: list[str]
    queries: Floats
    qrels: dict[str, dict[str, int]]


def read_data(made_up: int, queries: int) -> Data:
    """SciFact, and rows near it that no query is about."""
    corpus = pq.read_table(SCIFACT / "corpus")
    vectors = _matrix(corpus["vector"])
    draws = np.random.default_rng(0)
    pairs = draws.integers(len(vectors), size=(2, made_up))
    noise = draws.normal(scale=0.03, size=(made_up, vectors.shape[1])).astype(np.float32)
    others = unit_rows(0.5 * (vectors[pairs[0]] + vectors[pairs[1]]) + noise)
    asked = pq.read_table(SCIFACT / "queries.parquet", filters=[("split", "==", "test")]).slice(0, queries)
    judged = pq.read_table(SCIFACT / "qrels.parquet", filters=[("split", "==", "test")]).to_pylist()
    qrels: dict[str, dict[str, int]] = {name: {} for name in asked["id"].to_pylist()}
    for row in judged:
        if row["query_id"] in qrels:
            qrels[row["query_id"]][row["doc_id"]] = row["grade"]
    return Data(
        ids=corpus["id"].to_pylist() + [f"made-up-{number}" for number in range(made_up)],
        rows=np.concatenate([vectors, others]),
        query_ids=asked["id"].to_pylist(),
        queries=_matrix(asked["vector"]),
        qrels=qrels,
    )


def _matrix(column: pa.ChunkedArray) -> Floats:
    return np.stack(column.to_numpy()).astype(np.float32)


def write_version(folder: Path, variant: Variant, fitted: Adaptor, data: Data) -> None:
    """An output version as compress leaves it; with the vectors as they were where the variant has no columns."""
    names = ("vector", "vector_rescore")
    columns: dict[str, Any] = {"id": pa.array(data.ids), "title": pa.array([f"title of {name}" for name in data.ids])}
    if not variant.columns:
        columns["vector"] = pa.FixedSizeListArray.from_arrays(pa.array(data.rows.ravel()), data.rows.shape[1])
    for name, (dim, encoding) in zip(names, variant.columns, strict=False):
        codes = fitted.codec(dim=dim, encoding=encoding).encode(data.rows)
        columns[name] = (
            pa.array([code.tobytes() for code in codes], pa.binary(codes.shape[1]))
            if encoding == "binary"
            else pa.FixedSizeListArray.from_arrays(pa.array(codes.ravel()), dim)
        )
    table = pa.table(columns)
    (folder / "data").mkdir(parents=True)
    files = []
    for number in range(FILES):
        start, end = (len(table) * part // FILES for part in (number, number + 1))
        path = folder / "data" / f"part-{number}.parquet"
        pq.write_table(table.slice(start, end - start), path, row_group_size=16_384)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        size = path.stat().st_size
        files.append(
            OutputFile(
                path=f"data/{path.name}",
                rows=end - start,
                bytes=size,
                sha256=digest,
                shard=path.name,
                source_version="1",
            )
        )
    manifest = Manifest(
        sequence=1,
        created="",
        description=_description(variant, fitted),
        source_snapshot=None,
        files=files,
        feeds=[],
    )
    (folder / "manifest.json").write_bytes(manifest.to_json())


def _description(variant: Variant, fitted: Adaptor) -> dict[str, Any]:
    (dim, encoding), *second = variant.columns or ((384, "float32"),)
    rescore = {"dim": second[0][0], "encoding": second[0][1], "column": "vector_rescore"} if second else None
    return {
        "adaptor_id": fitted.adaptor_id if variant.columns else "none",
        "metric": "cosine",
        "dim": dim,
        "encoding": encoding,
        "rescore": rescore,
        "id_column": "id",
        "vector_column": "vector",
        "file_format": "parquet",
    }
