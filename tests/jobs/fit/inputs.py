"""Small sources for the tests of fit: clusters that lie mostly in directions of little variance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.config.fit import FitConfig

DIM = 32


def clustered(rows: int = 600, seed: int = 0) -> tuple[Any, Any]:
    """Vectors float32 (rows, 32), not of unit length, and the cluster of each."""
    draw = np.random.default_rng(seed)
    spread = np.r_[np.full(6, 0.1), np.full(10, 0.5), np.full(DIM - 16, 0.02)]
    centres = np.random.default_rng(99).normal(size=(60, DIM)) * spread
    cluster = draw.integers(0, 60, rows)
    noise = draw.normal(size=(rows, DIM)) * np.r_[np.full(6, 0.6), np.full(10, 0.05), np.full(DIM - 16, 0.02)]
    return (centres[cluster] + noise).astype(np.float32), cluster


def write(path: Path, ids: Any, vectors: Any) -> None:
    """One shard; a vector may be any list, or None."""
    path.parent.mkdir(parents=True, exist_ok=True)
    column = pa.array([None if v is None else [float(x) for x in v] for v in vectors], pa.list_(pa.float32()))
    pq.write_table(pa.table({"id": pa.array(ids), "vector": column}), path, row_group_size=50)


def source(folder: Path, rows: int = 600, shards: int = 3) -> Path:
    """A source of `rows` clustered vectors with ids `doc-<row>`."""
    vectors, _ = clustered(rows)
    for number, part in enumerate(np.array_split(np.arange(rows), shards)):
        write(folder / f"part-{number}.parquet", [f"doc-{i}" for i in part], vectors[part])
    return folder


def config(folder: Path, out: Path, **sections: Any) -> FitConfig:
    """A short fit on one worker; sections given are laid over it."""
    settings: dict[str, Any] = {
        "source": {"uri": str(folder)},
        "output": {"uri": str(out)},
        "adaptor": {"dims": [4, 8, 16, 32]},
        "training": {
            "steps": 100,
            "learning_rate": 1e-2,
            "query_steps": 60,
            "batch": 32,
            "evaluate_every": 20,
        },
        "cluster": {"workers": 1},
    }
    for name, values in sections.items():
        settings[name] = {**settings.get(name, {}), **values}
    return FitConfig.model_validate(settings)


def supervision(folder: Path, rows: int = 600) -> dict[str, Any]:
    """Write queries and graded qrels (relevant = of the same cluster); the config sections that name them."""
    vectors, cluster = clustered(80, seed=1)
    _, documents = clustered(rows)
    write(folder / "queries.parquet", [f"q{i}" for i in range(80)], vectors)
    pairs = [(f"q{i}", f"doc-{j}", 1 + j % 2) for i in range(80) for j in np.flatnonzero(documents == cluster[i])[:8]]
    pairs.append(("q0", "doc-of-no-source", 1))
    columns = {name: [p[k] for p in pairs] for k, name in enumerate(("query_id", "doc_id", "grade"))}
    pq.write_table(pa.table(columns), folder / "qrels.parquet")
    return {"queries": {"uri": str(folder / "queries.parquet")}, "qrels": {"uri": str(folder / "qrels.parquet")}}


def query_log(folder: Path, queries: int = 200) -> dict[str, Any]:
    """Write queries that tell one thing apart which documents hardly do; the config section that names them."""
    vectors, _ = clustered(queries, seed=2)
    vectors[:, :6] *= 0.05  # of what varies most in documents they have next to nothing
    write(folder / "log.parquet", [f"asked-{i}" for i in range(queries)], vectors)
    return {"queries": {"uri": str(folder / "log.parquet")}}
