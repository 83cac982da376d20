"""Memory of compress over time, for sources of every size and shape, beside each other.

    python -m tests.benchmarks.memory [--rows 8000000 --input-dim 384 --rows-per-file 20000 --shards 100000] [--plot
    FILE]

Compresses with two workers: a quarter of the rows (enough to fill the workers' pools: gigabytes); all of them; a
quarter and half of them in one file with one row group; and a source of `--shards` tiny shards with a worker that only
pretends (its driver is the real one). Prints a table and one line of JSON, draws all memory over time, and ends with
status 1 when a worker's peak grows by more than 10% with the source, or with the row group, or when a driver needs 1
GB. Disk: `--rows` × `--input-dim` × 6 bytes below TMPDIR. Linux only.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.benchmarks.memory_over_time import Curve, draw, watch
from tests.benchmarks.sources import make_adaptor

ROOT = Path(__file__).resolve().parents[2]
OUTPUT_DIM = 64
BLOCK_ROWS = 50_000
DRIVER_LIMIT_MB = 1000
#: Hard links that one file may safely have.
MOST_LINKS = 10_000
DRIVER = """
import sys
from jobs.compress import command as compress
from jobs.config.compress import CompressConfig
from tests.benchmarks.pretence import PretendToCompress
pretend = PretendToCompress if sys.argv[2] == "pretend" else None
sys.exit(compress.run(CompressConfig.model_validate_json(sys.argv[1]), pretend))
"""


def make_source(folder: Path, rows: int, input_dim: int, rows_per_file: int) -> None:
    """Write `rows` random vectors with ids and a text payload, in row groups of 50,000. All whole files hold the same
    rows, each on its own stretch of the disk: memory does not mind."""
    folder.mkdir(parents=True)
    whole, rest = divmod(rows, rows_per_file)
    first = folder / "part-00000.parquet"
    for number in range(whole):
        path = folder / f"part-{number:05}.parquet"
        if number:
            shutil.copyfile(first, path)
        else:
            _write(path, rows_per_file, input_dim, BLOCK_ROWS)
    if rest:
        _write(folder / "part-rest.parquet", rest, input_dim, BLOCK_ROWS)


def make_single(folder: Path, rows: int, input_dim: int) -> None:
    """Write one file with one row group."""
    folder.mkdir(parents=True)
    _write(folder / "all.parquet", rows, input_dim, rows)


def make_tiny(folder: Path, shards: int, input_dim: int) -> None:
    """Write `shards` files of a few rows, in folders of a thousand; most are hard links."""
    for number in range(shards):
        path = folder / f"{number // 1000:04}" / f"part-{number:06}.parquet"
        if number % 1000 == 0:
            path.parent.mkdir(parents=True)
        if number % MOST_LINKS == 0:
            origin = path
            _write(path, 4, input_dim, 4)
        else:
            path.hardlink_to(origin)


def _write(path: Path, rows: int, input_dim: int, row_group_rows: int) -> None:
    schema = pa.schema([("id", pa.int64()), ("vector", pa.list_(pa.float32(), input_dim)), ("text", pa.string())])
    table = pa.Table.from_batches(_batches(rows, input_dim, schema), schema)  # all vectors are the same block of memory
    pq.write_table(table, path, row_group_size=row_group_rows, use_dictionary=False, compression="none")


def _batches(rows: int, input_dim: int, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    flat = np.random.default_rng(0).standard_normal(min(rows, BLOCK_ROWS) * input_dim, dtype=np.float32)
    for start in range(0, rows, BLOCK_ROWS):
        ids = np.arange(start, min(rows, start + BLOCK_ROWS))
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(flat[: len(ids) * input_dim]), input_dim)
        texts = pa.array([f"text of row {row}" for row in ids])
        yield pa.RecordBatch.from_arrays([pa.array(ids), vectors, texts], schema=schema)


def measure(place: Path, source: str, pretend: bool = False) -> Curve:
    """Compress one source in a process of its own and watch it; the source is deleted afterwards."""
    config = {
        "source": {"uri": str(place / source)},
        "adaptor": {"uri": str(place / "adaptor")},
        "output": {"dim": OUTPUT_DIM, "uri": str(place / f"{source}-out")},
    }
    size = sum(path.stat().st_size for path in (place / source).rglob("*.parquet"))
    command = [sys.executable, "-c", DRIVER, json.dumps(config), "pretend" if pretend else "work"]
    curve = watch(command, ROOT, source, size)
    shutil.rmtree(place / source)
    shutil.rmtree(place / f"{source}-out")
    return curve


def main() -> int:
    """Measure all sources and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=8_000_000)
    parser.add_argument("--input-dim", type=int, default=384)
    parser.add_argument(
        "--rows-per-file",
        type=int,
        default=20_000,
        help="small enough for several files per worker: the first ones fill pools",
    )
    parser.add_argument("--shards", type=int, default=100_000)
    parser.add_argument("--plot", type=Path, default=Path("memory.png"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        make_adaptor(place / "adaptor", given.input_dim, [OUTPUT_DIM])
        make_source(place / "quarter", given.rows // 4, given.input_dim, given.rows_per_file)
        quarter = measure(place, "quarter")
        make_source(place / "all", given.rows, given.input_dim, given.rows_per_file)
        everything = measure(place, "all")
        make_single(place / "half-row-group", given.rows // 4, given.input_dim)
        smaller = measure(place, "half-row-group")
        make_single(place / "one-row-group", given.rows // 2, given.input_dim)
        single = measure(place, "one-row-group")
        make_tiny(place / "many-shards", given.shards, given.input_dim)
        many = measure(place, "many-shards", pretend=True)
    curves = [quarter, everything, smaller, single, many]
    for index, curve in enumerate(curves):
        row = curve.summary()
        if not index:
            print("  ".join(f"{name:>16}" for name in row))
        print("  ".join(f"{value:>16,}" if isinstance(value, float) else f"{value:>16}" for value in row.values()))
    draw(curves, given.plot)
    grown = ((quarter, everything), (smaller, single))
    growth = [large.peak_mb("workers") / small.peak_mb("workers") for small, large in grown]
    driver = max(curve.peak_mb("driver") for curve in curves)
    print(json.dumps({"input_dim": given.input_dim, "runs": [curve.summary() for curve in curves], "growth": growth}))
    return 0 if max(growth) <= 1.1 and driver < DRIVER_LIMIT_MB else 1


if __name__ == "__main__":
    sys.exit(main())
