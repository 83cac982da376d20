"""INT96, the timestamps of Spark and Impala: a day and the nanoseconds of it, which no Arrow type holds in full.

We read them as microseconds, Spark's own resolution, which reach from the year -290,000 to 290,000; nanoseconds reach
from 1677 to 2262 only, and pyarrow wraps what lies beyond without a word. Digits that microseconds cannot hold are
found here, by reading the columns both ways; years that they cannot hold are in no calendar that writes INT96.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
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
    """Raise InputError when a timestamp in the `columns` at `paths` of the row group is finer than a microsecond: it
    would be cut."""
    with objects.arrow.open_input_file(objects.path(key)) as source:
        fine = pq.ParquetFile(source, buffer_size=objects.buffer_bytes, coerce_int96_timestamp_unit="ns")
        asked = {"batch_size": batch_rows, "row_groups": [row_group], "columns": paths}
        for micro, nano in zip(parquet.iter_batches(**asked), fine.iter_batches(**asked), strict=True):
            for name, short, long in zip(micro.schema.names, micro.columns, nano.columns, strict=True):
                if any(_differ(*pair) for pair in zip(_timestamps(short), _timestamps(long), strict=True)):
                    raise InputError(
                        f"{objects.uri}: {key}, row group {row_group}: column '{name}' holds INT96 timestamps finer "
                        "than a microsecond, which would be cut: write it as timestamp[ns] (INT64), or drop it"
                    )


def _timestamps(column: pa.Array) -> Iterator[pa.Array]:
    """The arrays of timestamps in a column, however it is nested."""
    if pa.types.is_timestamp(column.type):
        yield column
    elif pa.types.is_struct(column.type):
        for part in column.flatten():
            yield from _timestamps(part)
    elif pa.types.is_map(column.type):
        yield from _timestamps(column.keys)
        yield from _timestamps(column.items)
    elif pa.types.is_nested(column.type):
        yield from _timestamps(column.flatten())


def _differ(micro: pa.Array, nano: pa.Array) -> bool:
    """Whether the same timestamps (n,) in nanoseconds say more. Beyond their range they wrap, as this product does."""
    short, long = (array.drop_null().cast(pa.int64()).to_numpy() for array in (micro, nano))
    return bool((short * np.int64(1000) != long).any())
