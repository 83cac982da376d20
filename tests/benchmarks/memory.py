"""Peak memory of compress for a store and for one ten times as large, side by side.

    python tests/benchmarks/memory.py --small 200000 --large 2000000 [--dim 384] [--rows-per-file 100000]

Makes both stores from random numbers, compresses them with two workers, and samples the resident memory of the actors.
Prints a table and one line of JSON; exit status 1 when the large store needs more than 10% more.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from adaptor.artefact import build

ROOT = Path(__file__).resolve().parents[2]
BLOCK_ROWS = 50_000
SAMPLE_SECONDS = 0.02
DRIVER = """
import sys
from jobs import compress
from jobs.config.commands import CompressConfig
sys.exit(compress.run(CompressConfig.model_validate_json(sys.argv[1])))
"""


def make_store(folder: Path, rows: int, dim: int, rows_per_file: int) -> None:
    """Write `rows` random vectors with ids and a text payload, in row groups of 50,000."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    schema = pa.schema([("id", pa.int64()), ("vector", pa.list_(pa.float32(), dim)), ("text", pa.string())])
    for number, first in enumerate(range(0, rows, rows_per_file)):
        last = min(rows, first + rows_per_file)
        with pq.ParquetWriter(folder / f"part-{number:05}.parquet", schema, use_dictionary=False) as writer:
            for start in range(first, last, BLOCK_ROWS):
                ids = np.arange(start, min(last, start + BLOCK_ROWS))
                flat = random.standard_normal(len(ids) * dim, dtype=np.float32)
                vectors = pa.FixedSizeListArray.from_arrays(pa.array(flat), dim)
                texts = pa.array([f"text of row {row}" for row in ids])
                writer.write_table(pa.table([pa.array(ids), vectors, texts], schema=schema))


def make_adaptor(folder: Path, dim: int) -> None:
    """Write an adaptor that rotates at random."""
    folder.mkdir(parents=True)
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(dim, dim)))[0].astype(np.float32)
    description = {
        "dim": dim,
        "widths": [64],
        "metric": "cosine",
        "form": "linear",
        "unit_input": False,
        "recipe": {"name": "default", "version": 1},
        "settings": {},
        "evidence": [],
    }
    for name, content in build(description, {"linear": rotation}, rotation).to_files().items():
        (folder / name).write_bytes(content)


def measure(place: Path, store: str, rows: int) -> dict[str, Any]:
    """Compress one store in a process of its own; rows, seconds, and peak memory of an actor in MB."""
    config = {
        "store": {"uri": str(place / store)},
        "adaptor": {"uri": str(place / "adaptor"), "width": 64},
        "output": {"uri": str(place / f"{store}-out")},
    }
    started = time.monotonic()
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, json.dumps(config)], cwd=ROOT, stdout=subprocess.DEVNULL, env=_environment()
    )
    resident = private = 0
    actors: dict[int, psutil.Process] = {}
    looked = 0.0
    while driver.poll() is None:
        if time.monotonic() - looked > 1:
            looked = time.monotonic()
            actors = {p.pid: p for p in psutil.Process(driver.pid).children(recursive=True) if _is_actor(p)}
        for actor in list(actors.values()):
            try:
                memory = actor.memory_info()
            except psutil.NoSuchProcess:
                continue
            resident, private = max(resident, memory.rss), max(private, memory.rss - memory.shared)
        time.sleep(SAMPLE_SECONDS)
    if driver.returncode:
        raise SystemExit(f"compress of {store} ended with status {driver.returncode}")
    size = sum(path.stat().st_size for path in (place / store).iterdir())
    return {
        "rows": rows,
        "gb": round(size / 1e9, 3),
        "seconds": round(time.monotonic() - started, 1),
        "peak_rss_mb": round(resident / 1e6, 1),
        "peak_private_mb": round(private / 1e6, 1),
    }


def _is_actor(process: psutil.Process) -> bool:
    try:
        return "MapWorker" in process.name()
    except psutil.NoSuchProcess:
        return False


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def main() -> int:
    """Run both and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", type=int, default=200_000)
    parser.add_argument("--large", type=int, default=2_000_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--rows-per-file", type=int, default=100_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        make_adaptor(place / "adaptor", given.dim)
        results = []
        for name, rows in (("small", given.small), ("large", given.large)):
            make_store(place / name, rows, given.dim, given.rows_per_file)
            results.append(measure(place, name, rows))
    columns = list(results[0])
    print("  ".join(f"{column:>16}" for column in columns))
    for result in results:
        print("  ".join(f"{result[column]:>16,}" for column in columns))
    ratio = results[1]["peak_rss_mb"] / results[0]["peak_rss_mb"]
    print(json.dumps({"dim": given.dim, "runs": results, "ratio": round(ratio, 3), "limit": 1.1}))
    return 0 if ratio <= 1.1 else 1


if __name__ == "__main__":
    sys.exit(main())
