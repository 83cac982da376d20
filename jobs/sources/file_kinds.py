"""What a file is, by its first bytes; only where these say nothing, by its ending."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from adaptor.errors import RunError
from jobs.storage.objects import ObjectInfo, Objects, RefusedError
from jobs.storage.read_failures import read_failure

PARQUET = "Parquet"
#: A file that its store refuses to give: it may be of any kind.
REFUSED = "refused"
#: Files looked into at a time: small requests that mostly wait.
_THREADS = 16
_HEAD_BYTES = 16
_MAGIC = {
    b"PAR1": PARQUET,
    b"PARE": PARQUET,  # encrypted
    b"ARROW1": "Arrow IPC",
    b"\xff\xff\xff\xff": "Arrow IPC stream",
    b"ORC": "ORC",
    b"Obj\x01": "Avro",
    b"\x93NUMPY": "npy",
    b"\x89HDF": "HDF5",
    b"SQLite format 3": "SQLite",
    b"PK\x03\x04": "zip or npz",
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
}
#: Endings that tell more than the bytes do, or that nobody gives to a Parquet file: such files are not looked into.
_ENDINGS = {
    "json": "JSON",
    "jsonl": "JSONL",
    "ndjson": "JSONL",
    "csv": "CSV",
    "tsv": "CSV",
    "fbin": "fbin",
    "u8bin": "fbin",
    "i8bin": "fbin",
    "lance": "Lance",
    "npz": "zip or npz",
    "npy": "npy",
    **dict.fromkeys(("crc", "txt", "md", "html", "yaml", "yml", "xml", "log", "py", "sql", "png", "jpg"), "other"),
}
#: What to do about kinds that are not read.
ADVICE = {
    "Arrow IPC": "write it as Parquet (pyarrow: pq.write_table(pa.ipc.open_file(file).read_all(), …))",
    "Arrow IPC stream": "write it as Parquet (pyarrow: pq.write_table(pa.ipc.open_stream(file).read_all(), …))",
    "ORC": "write it as Parquet (pyarrow: pq.write_table(pyarrow.orc.read_table(file), …))",
    "Avro": "write it as Parquet (Polars: pl.read_avro(file).write_parquet(…))",
    "JSON": "write it as Parquet (DuckDB: COPY (FROM 'file.json') TO 'file.parquet')",
    "JSONL": "write it as Parquet (DuckDB: COPY (FROM 'file.jsonl') TO 'file.parquet')",
    "CSV": "write it as Parquet (DuckDB: COPY (FROM 'file.csv') TO 'file.parquet') and set source.vectors.format: text",
    "HDF5": "write it as .npy or Parquet",
    "SQLite": "write its table as Parquet (DuckDB: COPY (FROM sqlite_scan('file', 'table')) TO 'file.parquet')",
    "zip or npz": "unpack it; .npy files are read with format: npy",
    "gzip": "unpack it",
    "zstd": "unpack it",
    "npy": "set format: npy",
    "fbin": "set format: fbin",
    "Lance": "give the folder of the whole dataset and set format: lance",
    PARQUET: "set format: parquet",
}


def looks_parquet(key: str) -> bool:
    """Whether the name is that of a Parquet file: `.parquet`, `.pq`, `.parq`, `.PARQUET`, `.parquet.snappy` …"""
    name = key.rpartition("/")[2].casefold()
    return name.endswith((".parquet", ".parq", ".pq")) or (".parquet." in name and _ending(name) not in _ENDINGS)


def kinds(objects: Objects, infos: Iterable[ObjectInfo]) -> dict[str, str]:
    """What each file is, by key: a name of `ADVICE`, or "other". Names that speak are believed, others looked into."""
    by_name = {info.key: kind_by_name(info.key) for info in infos}
    unclear = [key for key, kind in by_name.items() if kind is None]
    if not unclear:
        return {key: kind for key, kind in by_name.items() if kind is not None}
    with ThreadPoolExecutor(_THREADS) as threads:
        looked = dict(zip(unclear, threads.map(lambda key: kind_by_bytes(objects, key), unclear), strict=True))
    return {key: kind or looked[key] for key, kind in by_name.items()}


def kind_by_name(key: str) -> str | None:
    """What a file of this name is; None when it may be anything."""
    if looks_parquet(key):
        return PARQUET
    return _ENDINGS.get(_ending(key.rpartition("/")[2].casefold()))


def _ending(name: str) -> str:
    return name.rpartition(".")[2] if "." in name else ""


def kind_by_bytes(objects: Objects, key: str) -> str:
    """What a file is by its first bytes; "other" when nobody knows, `REFUSED` when nobody may. `RunError` for an
    outage."""
    try:
        with objects.arrow.open_input_file(objects.path(key)) as file:
            head = file.read_at(min(_HEAD_BYTES, file.size()), 0)
    except (pa.ArrowException, OSError) as error:
        failure = read_failure(objects, key, error, f"{objects.uri}: {key}")
        if isinstance(failure, RunError):
            raise failure from error
        return REFUSED if isinstance(failure, RefusedError) else "unreadable"
    except UnicodeError:  # a name that is not UTF-8, which Arrow does not take
        return "other"
    return next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), "other")
