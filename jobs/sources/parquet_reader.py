"""Parquet files described and streamed, with messages that say what is wrong with one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing

import pyarrow as pa

from adaptor.errors import InputError
from jobs.sources import int96
from jobs.sources.fast_parquet.headers import NeedsArrowReader
from jobs.sources.fast_parquet.memory import BATCHES
from jobs.sources.fast_parquet.tables import read_directly
from jobs.sources.open_parquet import OpenParquet, open_parquet
from jobs.sources.source import Batch, BatchRows, ShardInfo
from jobs.storage.objects import Objects
from jobs.storage.read_failures import read_failure


def read_footer(objects: Objects, key: str) -> ShardInfo:
    """What the footer of a file says; `InputError` when it is no whole Parquet file."""
    with open_parquet(objects, key) as opened:
        metadata, schema = opened.parquet.metadata, opened.parquet.schema_arrow
        groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    rows = tuple(group.num_rows for group in groups)
    return ShardInfo(metadata.num_rows, rows, tuple(group.total_byte_size for group in groups), schema)


def read_batches(
    objects: Objects,
    key: str,
    row_groups: Iterable[int],
    batch_rows: BatchRows,
    columns: Sequence[str] | None = None,
    *,
    fast: bool = True,
) -> Iterator[Batch]:
    """Stream the rows of `row_groups` of the file `key` as `Source.read` does.

    When `fast`, vectors come straight from their pages where that is proven to give what pyarrow gives. Memory is
    bounded by the batch and one read buffer per column. `InputError` names the file and row group when its data cannot
    be decoded; other errors as `read_failure` has them.
    """
    next_batch_rows = batch_rows if callable(batch_rows) else lambda: batch_rows
    if not fast:
        BATCHES.clear()
    with open_parquet(objects, key) as opened:
        times = [path for path in int96.columns(opened.parquet) if columns is None or path.split(".")[0] in columns]
        for row_group in row_groups:
            first_row = 0
            try:
                if times:
                    int96.check_digits(objects, key, opened.parquet, times, row_group, next_batch_rows())
                for table in _row_group(opened, row_group, next_batch_rows, columns, fast):
                    if table.num_rows:
                        yield Batch(row_group, first_row, table)
                    first_row += table.num_rows
                if first_row != (claimed := opened.parquet.metadata.row_group(row_group).num_rows):
                    raise pa.ArrowInvalid(f"its pages hold {first_row} rows, the footer says {claimed}")
            except (pa.ArrowException, OSError, MemoryError) as error:
                where = f"{objects.uri}: {key}, row group {row_group}, after row {first_row}"
                if failure := read_failure(objects, key, error, where):
                    raise failure from error
                or_memory = ", or this machine has too little memory" if isinstance(error, MemoryError) else ""
                raise InputError(f"{where}: the data is damaged, write the file again{or_memory} ({error})") from error


def _row_group(
    opened: OpenParquet,
    row_group: int,
    batch_rows: Callable[[], int],
    columns: Sequence[str] | None,
    fast: bool,
    done: int = 0,
) -> Iterator[pa.RecordBatch]:
    """The batches of a row group from row `done` on: directly as far as that is proven, then by pyarrow.

    Once batches are to be smaller, reading begins anew, and rows that were given before are dropped.
    """
    rows, repeated_rows = batch_rows(), done
    table: pa.RecordBatch | None = None
    try:
        if fast:
            tables = read_directly(opened, row_group, rows, columns)
        else:
            names = None if columns is None else list(columns)
            tables = opened.parquet.iter_batches(rows, row_groups=[row_group], columns=names, use_threads=False)
        with closing(tables):
            for table in tables:
                repeated = min(repeated_rows, table.num_rows)
                repeated_rows -= repeated
                done += table.num_rows - repeated
                yield table.slice(repeated)
                if batch_rows() < rows:
                    break
            else:
                return
    except (NeedsArrowReader, MemoryError):  # a damaged footer may claim vectors of any dimension
        if not fast:  # there is no other way to read them
            raise
        fast = False
    table = None  # memory may be scarce: the last batch must not outlive what follows
    BATCHES.clear()
    yield from _row_group(opened, row_group, batch_rows, columns, fast, done)
