"""Source formats by the name that `source.format` gives them. To add one: a module beside this one, and a line here."""

from __future__ import annotations

#: Name → `module:object` of a `Source` (source.py); imported only when it is used, so that help is instant.
SOURCES: dict[str, str] = {
    "parquet": "jobs.sources.parquet:ParquetSource",
    "delta": "jobs.sources.delta:DeltaSource",
    "iceberg": "jobs.sources.iceberg:IcebergSource",
    "lance": "jobs.sources.lance:LanceSource",
    "npy": "jobs.sources.matrices:NpySource",
    "fbin": "jobs.sources.matrices:BinSource",
}
