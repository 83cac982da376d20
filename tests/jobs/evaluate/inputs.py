"""Small sources and adaptors for the tests of evaluate, made by numpy alone (nothing is trained)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from adaptor.artefact import Adaptor, build, with_codes
from adaptor.code_fitting import fit_codes
from adaptor.rows import Floats
from adaptor.settings import Metric
from jobs.config.evaluate import EvaluateConfig


def make_adaptor(
    vectors: Floats,
    dims: Sequence[int],
    metric: Metric = "cosine",
    architecture: str = "linear",
    head: tuple[int, int] | None = None,
) -> Adaptor:
    """An adaptor whose map is a random perturbation of the uncentred PCA rotation of `vectors` (n, d), or that rotation
    with a random map (b, c) of its first b columns for outputs of at most c when `head` is (b, c)."""
    dim = vectors.shape[1]
    draws = np.random.default_rng(5)
    _, basis = np.linalg.eigh(vectors.T.astype(np.float64) @ vectors)
    rotation = basis[:, ::-1].astype(np.float32)
    tensors = {"linear": (rotation + 0.02 * draws.normal(size=(dim, dim))).astype(np.float32)}
    if head is not None:
        tensors = {"linear": rotation, "head": draws.normal(size=head).astype(np.float32)}
    if architecture == "mlp":
        shapes = {"hidden_weight": (dim, 7), "hidden_bias": (7,), "output_weight": (7, dim), "output_bias": (dim,)}
        tensors |= {name: (0.2 * draws.normal(size=shape)).astype(np.float32) for name, shape in shapes.items()}
    described = {
        "input_dim": dim,
        "dims": list(dims),
        "metric": metric,
        "architecture": architecture,
        "unit_input": False,
        "recipe": {"name": "default", "version": 1},
        "settings": {},
        "evidence": [],
    }
    return build(described, tensors, rotation)


def with_fitted_codes(adaptor: Adaptor, vectors: Floats) -> Adaptor:
    """The same adaptor with codes at its dims that are multiples of 8, fitted on `vectors`."""
    return with_codes(adaptor, fit_codes(adaptor, vectors, vectors[:0], 3))


def save_adaptor(adaptor: Adaptor, folder: Path) -> str:
    """Write the artefact; its uri."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in adaptor.to_files().items():
        (folder / name).write_bytes(content)
    return str(folder)


def save_vectors(path: Path, ids: Sequence[Any], rows: Sequence[Any], extra: dict[str, Any] | None = None) -> None:
    """One Parquet file of lists with small row groups; a row may be None or hold NaN."""
    path.parent.mkdir(parents=True, exist_ok=True)
    vectors = pa.array([None if row is None else list(map(float, row)) for row in rows], pa.list_(pa.float32()))
    pq.write_table(pa.table({"id": pa.array(ids), "vector": vectors, **(extra or {})}), path, row_group_size=7)


def save_source(folder: Path, vectors: Floats, shards: int) -> str:
    """A source with ids `doc-<row>` in `shards` files; its uri."""
    for number, rows in enumerate(np.array_split(np.arange(len(vectors)), shards)):
        save_vectors(folder / f"part-{number:03}.parquet", [f"doc-{row}" for row in rows], vectors[rows].tolist())
    return str(folder)


def save_qrels(path: Path, judgments: Sequence[tuple[str, str, int]], split: str = "test") -> str:
    """A qrels file of one split; its uri."""
    queries, documents, grades = zip(*judgments, strict=True)
    table = {"query_id": queries, "doc_id": documents, "grade": grades, "split": [split] * len(queries)}
    pq.write_table(pa.table(table), path)
    return str(path)


def evaluate_config(source: str, adaptor: str, output: Path, **sections: Any) -> EvaluateConfig:
    """A checked configuration; further sections as mappings."""
    given = {"source": {"uri": source}, "adaptor": {"uri": adaptor}, "output": {"uri": str(output)}, **sections}
    return EvaluateConfig.model_validate(given)
