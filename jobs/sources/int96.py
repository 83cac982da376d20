"""INT96, the timestamps of Spark and Impala: a day and the nanoseconds of it, which no Arrow type holds in full.

We read them as microseconds, Spark's own resolution. Nanoseconds reach from 1677 to 2262 only, and pyarrow wraps what
lies beyond. To notice digits that microseconds cut, the columns are read both ways.
"""

from __future__ import annotations

import pyarrow.parquet as pq

from adaptor.errors import InputError
from jobs.storage.objects import Objects

UNIT = "us"


def columns(parquet: pq.ParquetFile) -> list[str]:
    """Paths of the leaf columns of this physical type."""
    schema = parquet.metadata.schema
    leaves = (schema.column(index) for index in range(parquet.metadata.num_columns))
    return [leaf.path for leaf in leaves if leaf.physical_type == "INT96"]


def check_digits(
    objects: Objects, key: str, parquet: pq.ParquetFile, paths: list[str], row_group: int, batch_rows: int
) -> None:
    """Raise `InputError` when a timestamp of the row group in the leaf columns `paths` is finer than a microsecond."""
    options = {"batch_size": batch_rows, "row_groups": [row_group], "columns": paths}
    with objects.arrow.open_input_file(objects.path(key)) as source:
        fine = pq.ParquetFile(source, buffer_size=objects.buffer_bytes, coerce_int96_timestamp_unit="ns")
        for micro, nano in zip(parquet.iter_batches(**options), fine.iter_batches(**options), strict=True):
            for name, short, long in zip(micro.schema.names, micro.columns, nano.columns, strict=True):
                if not short.cast(long.type, safe=False).equals(long):  # beyond their range both wrap alike
                    raise InputError(
                        f"{objects.uri}: {key}, row group {row_group}: column '{name}' holds INT96 timestamps finer "
                        "than a microsecond, which would be cut: write it as timestamp[ns] (INT64), or drop it"
                    )
