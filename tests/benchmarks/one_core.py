"""Where the time of compress goes, without Ray: CPU-seconds per GB of input, in one process with one thread per pool.

    python -m tests.benchmarks.one_core [--rows 200000] [--dims 384 768] [--repeats 5] [--output one_core.json]

Prints and writes the median and range of each part and of the whole, taken in turn on the same files in the page
cache: reading the bytes, the vectors by pyarrow, the vectors as we read them, the transform (check, product,
normalisation), the output, the bare pyarrow loop, and `ShardCompressor` with its commit.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

# Before numpy is loaded: one thread, and the kernels that OpenBLAS itself chooses for this processor.
for _name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(_name, None)
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402

from jobs.commits.output_version import claim  # noqa: E402
from jobs.commits.work_items import Planner, WorkItem  # noqa: E402
from jobs.compress.row_transform import open_row_transform  # noqa: E402
from jobs.compress.shard import ShardCompressor  # noqa: E402
from jobs.config.compress import CompressConfig  # noqa: E402
from jobs.outputs.output_format import Layout  # noqa: E402
from jobs.sources.source import Batch, Shard  # noqa: E402
from tests.benchmarks.job import Job  # noqa: E402
from tests.benchmarks.loops import multiply_file  # noqa: E402
from tests.benchmarks.sources import VECTOR_TYPES, SourceShape, make_adaptor, make_source  # noqa: E402

OUTPUT_DIM = 64
_READ_BYTES = 1 << 20


@dataclass(frozen=True)
class Record:
    """CPU-seconds per GB of input of one part on one source, in one repeat."""

    case: str
    part: str
    repeat: int
    cpu_seconds_per_gb: float


class Site:
    """A source of one shape, and each part of the work on it as a function of nothing."""

    def __init__(self, folder: Path, shape: SourceShape) -> None:
        self.bytes = make_source(folder / "source", shape)
        adaptor = make_adaptor(folder / "adaptor", shape.input_dim, [OUTPUT_DIM])
        (folder / "models").mkdir()
        (folder / "loop").mkdir()
        np.save(folder / "models" / "matrix.npy", np.ascontiguousarray(adaptor.columns(OUTPUT_DIM)))
        self.config = CompressConfig.model_validate(
            {
                "source": {"uri": str(folder / "source")},
                "adaptor": {"uri": str(folder / "adaptor")},
                "output": {"dim": OUTPUT_DIM, "uri": str(folder / "out")},
            }
        )
        self._folder = folder
        self._compressor = ShardCompressor(self.config)
        self._context = self._compressor.context
        self._encoding = self._context.vector_columns[0].encoding
        self._shards = self._context.source.shards()
        claim(self._context.output_version, self._context.description)
        self._transform = open_row_transform(adaptor, [adaptor.projection(OUTPUT_DIM)], on_gpu=False)
        self._columns = [batch.table.column("vector") for batch in self._batches(plain=False)]

    def parts(self) -> Mapping[str, Callable[[], object]]:
        """By name, in the order of the table."""
        short = [self._encoding.encode(self._transform(column)[0][0]) for column in self._columns]
        return {
            "bytes": self._read_bytes,
            "vectors by pyarrow": lambda: _exhaust(self._batches(plain=True)),
            "vectors": lambda: _exhaust(self._batches(plain=False)),
            "transform": lambda: [self._transform(column) for column in self._columns],
            "output": lambda: self._write(short),
            "bare loop": self._bare_loop,
            "compress": self._compress,
        }

    def _read_bytes(self) -> None:
        buffer = bytearray(_READ_BYTES)
        for shard in self._shards:
            with open(self._folder / "source" / shard.key, "rb", buffering=0) as file:
                while file.readinto(buffer):
                    pass

    def _batches(self, *, plain: bool) -> Iterator[Batch]:
        source, batch_rows = self._context.source, self.config.reading.batch_rows
        for shard in self._shards:
            groups = range(len(source.describe(shard).row_group_rows))
            yield from source.read(shard, groups, batch_rows, ["vector"], plain=plain)

    def _write(self, short: Sequence[pa.Array]) -> None:
        schema = pa.schema([pa.field("vector", self._encoding.arrow_type)])
        layout = Layout(self.config.output.row_group_rows, "none", ("vector",))
        with self._context.output_format.writer(self._folder / "written", schema, layout) as writer:
            for array in short:
                writer.write(pa.record_batch([array], schema=schema))
            writer.finish()

    def _bare_loop(self) -> None:
        job = Job(
            str(self._folder / "source"),
            str(self._folder / "loop"),
            str(self._folder / "models"),
            OUTPUT_DIM,
            1,
            None,
            {},
        )
        for name in job.files:
            multiply_file(job, name)

    def _compress(self) -> None:
        for item in _items(self._shards):
            self._compressor.compress(item)
            self._context.output_version.delete(item.record.key)  # so that the next repeat does the same


def _items(shards: Sequence[Shard]) -> Sequence[WorkItem]:
    return Planner(split_bytes=1 << 40, suffix=".parquet").plan(shards, [], (), {}).todo


def _exhaust(batches: Iterator[Batch]) -> None:
    for _ in batches:
        pass


def measure(case: str, site: Site, repeats: int) -> list[Record]:
    """Every part in turn, `repeats` times after one that does not count."""
    parts, found = site.parts(), []
    for repeat in range(-1, repeats):
        for name, work in parts.items():
            began = time.process_time()
            work()
            spent = (time.process_time() - began) / (site.bytes / 1e9)
            if repeat >= 0:
                found.append(Record(case, name, repeat, round(spent, 4)))
    return found


def table(records: Sequence[Record]) -> str:
    """Median (least - most), a line for each part."""
    lines = []
    for case in dict.fromkeys(record.case for record in records):
        lines.append(f"\n{case}: CPU-seconds per GB of input, median (range)")
        for part in dict.fromkeys(record.part for record in records):
            spent = [r.cpu_seconds_per_gb for r in records if (r.case, r.part) == (case, part)]
            lines.append(f"  {part:20} {np.median(spent):5.2f}  ({min(spent):.2f} - {max(spent):.2f})")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the chosen sources."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000, help="of the first dimension; others have as many bytes")
    parser.add_argument("--dims", type=int, nargs="+", default=[384, 768])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", type=Path, default=None, help="write the records there, as JSON")
    given = parser.parse_args(arguments)
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    records = list[Record]()
    for input_dim in given.dims:
        rows = given.rows * given.dims[0] // input_dim
        shape = SourceShape.even(rows, rows // 2, input_dim, rows // 4, "list")
        for vectors in VECTOR_TYPES:
            with tempfile.TemporaryDirectory(prefix="one-core-") as folder:
                site = Site(Path(folder), replace(shape, vectors=vectors))
                records += measure(f"{vectors}, {input_dim} dimensions", site, given.repeats)
    print(table(records))
    if given.output is not None:
        given.output.write_text(json.dumps([asdict(record) for record in records], indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
