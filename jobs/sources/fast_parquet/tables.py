"""Row groups as record batches: columns of vectors read directly, all others by pyarrow, zipped batch by batch."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.sources.fast_parquet.blocks import Blocks
from jobs.sources.fast_parquet.headers import NeedsArrowReader
from jobs.sources.fast_parquet.memory import BATCHES
from jobs.sources.fast_parquet.pages import SIZES, Floating, VectorChunk, read_values
from jobs.sources.fast_parquet.runs import Octets
from jobs.sources.open_parquet import OpenParquet
from jobs.sources.vectors import is_vector_type

#: Parquet's physical type for each Arrow type of numbers.
_PHYSICAL: dict[pa.DataType, tuple[str, Floating]] = {
    pa.float16(): ("FIXED_LEN_BYTE_ARRAY", np.dtype("<f2")),
    pa.float32(): ("FLOAT", np.dtype("<f4")),
    pa.float64(): ("DOUBLE", np.dtype("<f8")),
}
#: Arrow's codecs that are read directly, by their names in a footer.
_CODECS = {"UNCOMPRESSED": None, **{name.upper(): name for name in SIZES}}
_MOST_OFFSET = 2**31 - 1


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
        vectors: dict[str, _VectorColumn] = {}
        for name in names:
            chunk = _vector_chunk(opened.parquet.metadata, row_group, name, whole.field(name).type)
            if chunk is not None:
                blocks = Blocks(opened.source, chunk.start, chunk.stop, opened.block_bytes, opened.ahead)
                vectors[name] = _VectorColumn(chunk, blocks_open.enter_context(closing(blocks)))
        if not vectors:
            raise NeedsArrowReader("no column of vectors")
        rest = [name for name in names if name not in vectors]
        schema = pa.schema([whole.field(name) for name in names], whole.metadata)
        for batch in opened.parquet.iter_batches(batch_rows, row_groups=[row_group], columns=rest, use_threads=False):
            if not batch.schema.equals(pa.schema([whole.field(name) for name in rest])):
                raise NeedsArrowReader("column names that are not clear")
            arrays = [vectors[n].take(batch.num_rows) if n in vectors else batch.column(n) for n in names]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _vector_chunk(metadata: pq.FileMetaData, row_group: int, name: str, kind: pa.DataType) -> VectorChunk | None:
    """The chunk of the top-level field `name` of Arrow type `kind`; None when it may be anything else."""
    storage = _storage(kind)
    if not is_vector_type(storage) or storage.value_type not in _PHYSICAL:
        return None
    paths = [metadata.schema.column(leaf).path for leaf in range(metadata.num_columns)]
    leaves = [leaf for leaf, path in enumerate(paths) if f"{path}.".startswith(f"{name}.")]
    if len(leaves) != 1:  # names with dots in them can be taken for paths
        return None
    rows = metadata.row_group(row_group).num_rows
    chunk, column = metadata.row_group(row_group).column(leaves[0]), metadata.schema.column(leaves[0])
    physical, number = _PHYSICAL[storage.value_type]
    dim, left = divmod(chunk.num_values, rows) if rows else (0, 0)
    fits = (
        chunk.physical_type == physical
        and (physical != "FIXED_LEN_BYTE_ARRAY" or column.length == number.itemsize)
        and (column.max_repetition_level, chunk.file_path) == (1, "")
        and 1 <= column.max_definition_level <= 3
        and chunk.compression in _CODECS
        and left == 0 < dim <= _MOST_OFFSET
        and not (chunk.statistics is not None and chunk.statistics.null_count)
        and dim == (storage.list_size if pa.types.is_fixed_size_list(storage) else dim)
    )
    if not fits:
        return None
    start = chunk.data_page_offset
    if chunk.dictionary_page_offset is not None and 0 < chunk.dictionary_page_offset < start:
        start = chunk.dictionary_page_offset
    return VectorChunk(
        arrow_type=kind,
        dim=dim,
        rows=rows,
        number=number,
        top=column.max_definition_level,
        codec=_CODECS[chunk.compression],
        start=start,
        stop=start + chunk.total_compressed_size,
    )


class _VectorColumn:
    """Hands out the rows of a `VectorChunk`, whose bytes are `blocks`, in order."""

    def __init__(self, chunk: VectorChunk, blocks: Blocks) -> None:
        self._chunk = chunk
        self._pages: Iterator[Octets] = read_values(blocks, chunk)
        self._page = np.empty(0, np.uint8)

    def take(self, rows: int) -> pa.Array:
        """The next `rows` vectors. Raises `NeedsArrowReader` where they are not what the footer lets expect."""
        dim, number, arrow_type = self._chunk.dim, self._chunk.number, self._chunk.arrow_type
        storage = _storage(arrow_type)
        if pa.types.is_list(storage) and rows * dim > _MOST_OFFSET:
            raise NeedsArrowReader("more numbers than a list array can count")
        octets, filled = BATCHES.take(rows * dim * number.itemsize), 0
        while filled < len(octets):
            if not len(self._page):
                self._page = next(self._pages)
            used = min(len(self._page), len(octets) - filled)
            octets[filled : filled + used] = self._page[:used]
            self._page = self._page[used:]
            filled += used
        lists = pa.FixedSizeListArray.from_arrays(pa.array(octets.view(number)), dim).cast(storage)  # copies nothing
        return lists if storage is arrow_type else pa.ExtensionArray.from_storage(arrow_type, lists)


def _storage(kind: pa.DataType) -> pa.DataType:
    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
