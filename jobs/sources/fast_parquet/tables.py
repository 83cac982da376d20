"""Row groups as record batches: columns of vectors read directly, all others by pyarrow, zipped batch by batch."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack

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

    Raises `NeedsArrowReader`, at the beginning or between two batches, where that cannot be shown; what was given until
    then holds.
    """
    whole: pa.Schema = opened.parquet.schema_arrow
    names = list(whole.names if columns is None else columns)
    if len(set(whole.names)) < len(whole.names) or len(set(names)) < len(names) or not set(names) <= set(whole.names):
        raise NeedsArrowReader("column names that are not clear")
    metadata = opened.parquet.metadata
    with ExitStack() as blocks_open:
        vectors: dict[str, VectorColumn] = {}
        for name, leaf in _leaves(opened.parquet).items():
            chunk = vector_chunk(metadata, row_group, leaf, whole.field(name).type) if name in names else None
            if chunk is not None:
                blocks = Blocks(opened.source, chunk.start, chunk.stop, opened.block_bytes, opened.ahead)
                vectors[name] = VectorColumn(chunk, blocks_open.enter_context(blocks))
        if not vectors:
            raise NeedsArrowReader("no column of vectors")
        rest = [name for name in names if name not in vectors]
        others = _others(opened.parquet, row_group, batch_rows, rest)
        schema = pa.schema([whole.field(name) for name in names], whole.metadata)
        for rows, columns_of_others in others:
            arrays = [vectors[name].take(rows) if name in vectors else columns_of_others[name] for name in names]
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


def _leaves(parquet: pq.ParquetFile) -> dict[str, int]:
    """The Parquet column of each top-level field that has just one."""
    leaves: dict[str, int] = {}
    first = 0
    for field in parquet.schema_arrow:
        count = _leaf_count(field.type)
        if count == 1:
            leaves[field.name] = first
        first += count
    paths = {name: parquet.schema.column(leaf).path for name, leaf in leaves.items() if leaf < len(parquet.schema)}
    if first != len(parquet.schema) or any(f"{path}.".find(f"{name}.") for name, path in paths.items()):
        raise NeedsArrowReader("columns that are not where the schema says")
    return leaves


def _leaf_count(kind: pa.DataType) -> int:
    if isinstance(kind, pa.BaseExtensionType):
        return _leaf_count(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return 1
    return sum(_leaf_count(kind.field(index).type) for index in range(kind.num_fields)) or 1
