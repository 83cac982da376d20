"""Memory and time of a feed, for output versions of every size.

    python -m tests.benchmarks.feeds [--rows 1000000 10000000] [--changed 0.2] [--dim 64]

Writes an output version of so many rows (int8 of `--dim`, an id and a text), changes or removes a part of the rows of a
part of the files, and computes the feed between both in a process of its own. Prints a table and one line of JSON, and
ends with status 1 when the peak memory of the largest is more than 1.3 times that of the smallest. Disk: `--rows` ×
(`--dim` + 40) bytes twice below TMPDIR. Linux only.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.commits.manifest import MANIFEST, Manifest, OutputFile

ROOT = Path(__file__).resolve().parents[2]
FILE_ROWS = 250_000
MOST_GROWTH = 1.3
DESCRIPTION = {
    "adaptor_id": "0" * 64,
    "dim": 64,
    "encoding": "int8",
    "file_format": "parquet",
    "id_column": "id",
    "vector_column": "vector",
    "rescore": None,
}
WORKER = """
import json, resource, sys, time
from jobs.commits.feed import write_feed
from jobs.commits.manifest import Manifest
from jobs.storage.local import LocalObjects
there = LocalObjects(sys.argv[1])
before, after = (Manifest.from_json(there.read(key, 1 << 30), key) for key in ("manifest.json", "after.json"))
start, first = time.time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
feed = write_feed(there, before, after.files)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"seconds": time.time() - start, "before_mb": first / 1024, "peak_mb": peak / 1024,
                  "upserts": feed.upserts, "deletes": feed.deletes, "feed_mb": feed.bytes / 1e6}))
"""


def write_file(folder: Path, name: str, rows: range, dim: int, seed: int) -> OutputFile:
    """One output; the numbers depend on the seed."""
    numbers = np.random.default_rng(seed).integers(-127, 128, (len(rows), dim), np.int8)
    table = pa.table(
        {
            "id": [f"document-{row:012}" for row in rows],
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(numbers.ravel()), dim),
            "text": [f"payload of row {row}" for row in rows],
        }
    )
    path = folder / "data" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return OutputFile(
        path=f"data/{name}", rows=len(rows), bytes=path.stat().st_size, sha256=name, shard=name, source_version="1"
    )


def make(folder: Path, rows: int, changed: float, dim: int) -> None:
    """Two manifests: in the second, of each file that changed a tenth of the rows is gone and all others are new."""
    numbers = range(-(-rows // FILE_ROWS))
    spans = [range(number * FILE_ROWS, min(rows, (number + 1) * FILE_ROWS)) for number in numbers]
    old = [write_file(folder, f"{number:05}.old.parquet", span, dim, number) for number, span in enumerate(spans)]
    new = list(old)
    for number in numbers[: max(1, round(changed * len(numbers)))]:
        span = spans[number]
        rest = range(span.start + len(span) // 10, span.stop)
        new[number] = write_file(folder, f"{number:05}.new.parquet", rest, dim, 10_000 + number)
    described = {**DESCRIPTION, "dim": dim}
    for key, sequence, files in ((MANIFEST, 1, old), ("after.json", 2, new)):
        manifest = Manifest(
            sequence=sequence, created="", description=described, source_snapshot=None, files=files, feeds=[]
        )
        (folder / key).write_bytes(manifest.to_json())


def main() -> int:
    """Measure each size; 1 where memory grows."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--changed", type=float, default=0.2, help="part of the files that changed")
    parser.add_argument("--dim", type=int, default=64)
    given = parser.parse_args()
    results = []
    print("rows         seconds  peak MB  upserts    deletes   feed MB")
    for rows in given.rows:
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder), rows, given.changed, given.dim)
            done = subprocess.run(
                [sys.executable, "-c", WORKER, folder], cwd=ROOT, capture_output=True, text=True, check=True
            )
            found = json.loads(done.stdout)
        results.append({"rows": rows, **found})
        print(
            f"{rows:<12,} {found['seconds']:7.1f}  {found['peak_mb']:7.0f}  {found['upserts']:<10,} "
            f"{found['deletes']:<9,} {found['feed_mb']:7.1f}",
            flush=True,
        )
    print(json.dumps(results))
    peaks = [result["peak_mb"] for result in results]
    return int(max(peaks) > MOST_GROWTH * peaks[0])


if __name__ == "__main__":
    sys.exit(main())
