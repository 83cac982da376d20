"""How fast the whole source becomes short: compress beside the floor, a bare loop and what people would run instead.

    python -m tests.benchmarks.throughput [--rows 2000000 --input-dim 384 --dim 64 --vectors list …] [--json FILE]
    python -m tests.benchmarks.throughput --quick          # under 3 minutes on two cores
    python -m tests.benchmarks.throughput --base matryoshka --variants matryoshka matryoshka-int8 matryoshka-binary
    python -m tests.benchmarks.throughput --s3             # the same files on a real S3 server (SeaweedFS, loopback)
    pip install -c constraints.txt -e '.[bench]'           # adds scikit-learn, Spark (needs Java 17) and Daft

Every variant is a command of its own on the same files (in the page cache), on as many cores as there are workers, in
turn, `--repeats` times. Each runs on a source of one tiny file for each worker too: that is its start-up (interpreter,
imports, Ray, JVM, end). Steady state is the difference of the two runs, for seconds and CPU-seconds alike. Those of
all processes of a command count. A variant that is not installed, or fails, is left out with a line.

OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE are taken out of the environment of all variants: a machine that pins them for
reproducible tests would be measured with slowed-down products.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from jobs.storage.s3_clients import request_client
from tests.benchmarks import peers, throughput_report
from tests.benchmarks.bench import BUCKET, CODED, OURS, Bench, VariantFailed
from tests.benchmarks.job import Job
from tests.benchmarks.sources import VECTOR_TYPES, SourceShape, make_adaptor, make_source
from tests.benchmarks.throughput_report import Record
from tests.s3_server import running_server

ON_S3 = ("floor", "bare-loop", OURS)


def measure(bench: Bench, cases: Mapping[str, SourceShape]) -> list[Record]:
    """All records: for each repeat and variant the start-up case, then the full one."""
    sizes = {case: _reference(bench, case) for case in cases}
    variants = [variant for variant in bench.given.variants if _prepared(bench, variant)]
    records: list[Record] = []
    for repeat in range(bench.given.repeats):
        for variant in variants[repeat % len(variants) :] + variants[: repeat % len(variants)]:
            try:
                records += _both(bench, variant, cases, sizes, repeat)
            except VariantFailed as problem:
                print(f"left out: {problem}", file=sys.stderr)
                variants = [name for name in variants if name != variant]
    return records


def _both(
    bench: Bench, variant: str, cases: Mapping[str, SourceShape], sizes: Mapping[str, dict[str, int]], repeat: int
) -> Iterator[Record]:
    startup = 0.0
    for case, shape in cases.items():
        job = bench.job(case, sizes[case])
        usage = bench.run(variant, job)
        _check_rows(job, variant, shape.rows)
        startup = startup or usage.seconds
        yield Record(
            case=f"{'s3' if bench.server else 'local'}-{shape.vectors}-{case}",
            variant=variant,
            rows=shape.rows,
            input_dim=shape.input_dim,
            dim=job.dim,
            input_bytes=sum(info.size for info in _parquet_files(job.filesystem, job.source)),
            seconds=round(usage.seconds, 3),
            startup_seconds=round(startup, 3),
            cpu_seconds=round(usage.cpu_seconds, 3),
            peak_rss_bytes=usage.peak_rss_bytes,
            repeat=repeat,
        )
        print(f"{variant}, {case}: {usage.seconds:.1f} s, {usage.cpu_seconds:.1f} CPU-s", file=sys.stderr)


def _reference(bench: Bench, case: str) -> dict[str, int]:
    """Run the bare loop once: it warms the page cache, and the floor writes as much as it does."""
    job = bench.job(case, {})
    bench.run("bare-loop", job)
    return {info.base_name: info.size for info in _parquet_files(job.filesystem, job.output)}


def _prepared(bench: Bench, variant: str) -> bool:
    try:
        if variant in peers.PREPARATIONS:
            bench.run(variant, bench.job("full", {}), "--prepare")
    except VariantFailed as problem:
        print(f"left out: {problem}", file=sys.stderr)
        return False
    return True


def _check_rows(job: Job, variant: str, rows: int) -> None:
    """Nobody wins by leaving rows out."""
    if variant == "floor":
        return
    filesystem, written = job.filesystem, 0
    for info in _parquet_files(filesystem, job.output):
        with filesystem.open_input_file(info.path) as file:
            written += pq.ParquetFile(file).metadata.num_rows
    if written != rows:
        raise VariantFailed(f"{variant} wrote {written} rows of {rows}")


def _parquet_files(filesystem: pafs.FileSystem, folder: str) -> list[pafs.FileInfo]:
    found = filesystem.get_file_info(pafs.FileSelector(folder, recursive=True, allow_not_found=True))
    return [info for info in found if info.is_file and info.base_name.endswith(".parquet")]


@contextmanager
def _opened(given: argparse.Namespace, cases: Mapping[str, SourceShape]) -> Iterator[Bench]:
    """Make sources, adaptor and, if asked, the S3 server with the sources on it."""
    with ExitStack() as stack:
        local = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=given.folder, prefix="throughput-")))
        for case, shape in cases.items():
            size = make_source(local / case, shape)
            print(f"source {case}: {shape.rows:,} x {shape.input_dim}, {size / 1e9:.2f} GB", file=sys.stderr)
        (local / "models").mkdir()
        adaptor = make_adaptor(local / "adaptor", given.input_dim, [given.dim])
        np.save(local / "models" / "matrix.npy", np.ascontiguousarray(adaptor.tensors["linear"][:, : given.dim]))
        server = None
        if given.s3:
            (local / "server").mkdir()
            server = stack.enter_context(running_server(local / "server"))
            os.environ.update(server.environment)
        bench = Bench(given, local, server)
        if server:
            request_client(server.options).call_s3("create_bucket", Bucket=BUCKET)
            for case in cases:
                pafs.copy_files(str(local / case), f"{BUCKET}/{case}", destination_filesystem=bench.filesystem)
                shutil.rmtree(local / case)
        yield bench


def _arguments() -> argparse.Namespace:
    names = ["floor", "bare-loop", OURS, *(name for name in peers.VARIANTS if name not in ("floor", "bare-loop"))]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--input-dim", type=int, default=384)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--rows-per-file", type=int, default=100_000)
    parser.add_argument("--row-group-rows", type=int, default=50_000)
    parser.add_argument("--vectors", choices=VECTOR_TYPES, default="list")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeats", type=int, default=3)
    known = [*names, *CODED]
    parser.add_argument("--variants", nargs="+", choices=known, default=names, metavar="VARIANT", help=", ".join(known))
    parser.add_argument("--base", choices=known, default="bare-loop", help="what the others are compared with")
    parser.add_argument("--folder", type=Path, default=None, help="where the data goes (default: TMPDIR)")
    parser.add_argument("--s3", action="store_true", help=f"on an S3 server: {', '.join(ON_S3)}")
    parser.add_argument("--quick", action="store_true", help="400,000 rows, one repeat, no Spark")
    parser.add_argument("--json", type=Path, default=None, help="also write the records to this file")
    given = parser.parse_args()
    if given.quick:
        given.rows, given.repeats = min(given.rows, 400_000), 1
        given.variants = [name for name in given.variants if name != "spark"]
    if given.s3:
        given.variants = [name for name in given.variants if name in ON_S3]
    return given


def main() -> None:
    """Measure, print the table, write the records."""
    given = _arguments()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: given.workers])
    full = SourceShape.even(given.rows, given.rows_per_file, given.input_dim, given.row_group_rows, given.vectors)
    cases = {"startup": full.startup(given.workers), "full": full}
    try:
        with _opened(given, cases) as bench:
            records = measure(bench, cases)
    except VariantFailed as problem:  # the bare loop, without which there is nothing to compare
        sys.exit(str(problem))
    print(throughput_report.table(records, given.base))
    if given.json:
        given.json.write_text(json.dumps(throughput_report.plain(records), indent=1) + "\n")


if __name__ == "__main__":
    main()
