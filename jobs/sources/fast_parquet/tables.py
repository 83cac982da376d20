"""Row groups as record batches: columns of vectors read directly, all others by pyarrow, zipped batch by batch."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.sources.fast_parquet.blocks import Blocks
from jobs.sources.fast_parquet.columns import VectorColumn, vector_chunk
from jobs.sources.fast_parquet.headers import NeedsArrowReader
from jobs.sources.open_parquet import OpenParquet


def read_directly(
    opened: OpenParquet, row_group: int, batch_rows: int, columns: Sequence[str] | None
) -> Generator[pa.RecordBatch, None, None]:
    """The rows of a row group in order, `batch_rows` at a time, as pyarrow's `iter_batches` gives them.

    Raises `NeedsArrowReader`, first or between two batches, where that cannot be shown; earlier batches hold.
    """
    whole: pa.Schema = opened.parquet.schema_arrow
    names = list(whole.names if columns is None else columns)
    if len(set(whole.names)) < len(whole.names) or len(set(names)) < len(names) or not set(names) <= set(whole.names):
        raise NeedsArrowReader("column names that are not clear")
    with ExitStack() as blocks_open:
        vectors: dict[str, VectorColumn] = {}
        for name in names:
            chunk = vector_chunk(opened.parquet.metadata, row_group, name, whole.field(name).type)
            if chunk is not None:
                blocks = Blocks(opened.source, chunk.start, chunk.stop, opened.block_bytes, opened.ahead)
                vectors[name] = VectorColumn(chunk, blocks_open.enter_context(closing(blocks)))
        if not vectors:
            raise NeedsArrowReader("no column of vectors")
        schema = pa.schema([whole.field(name) for name in names], whole.metadata)
        rest = [name for name in names if name not in vectors]
        for rows, others in _others(opened.parquet, row_group, batch_rows, rest):
            arrays = [vectors[name].take(rows) if name in vectors else others[name] for name in names]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _others(
    parquet: pq.ParquetFile, row_group: int, batch_rows: int, names: list[str]
) -> Iterator[tuple[int, dict[str, pa.Array]]]:
    """Batch by batch the number of rows and the named columns, as pyarrow reads them."""
    if not names:
        rows = parquet.metadata.row_group(row_group).num_rows
        yield from ((min(batch_rows, rows - start), {}) for start in range(0, rows, batch_rows))
        return
    expected = pa.schema([parquet.schema_arrow.field(name) for name in names])
    for batch in parquet.iter_batches(batch_rows, row_groups=[row_group], columns=names, use_threads=False):
        if not batch.schema.equals(expected):
            raise NeedsArrowReader("column names that are not clear")
        yield batch.num_rows, dict(zip(names, batch.columns, strict=True))
