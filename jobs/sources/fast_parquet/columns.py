"""One column of vectors of one row group, as Arrow arrays of the type that pyarrow would give."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.sources.fast_parquet.blocks import Blocks
from jobs.sources.fast_parquet.codecs import SIZES
from jobs.sources.fast_parquet.headers import NeedsArrowReader
from jobs.sources.fast_parquet.memory import BATCHES
from jobs.sources.fast_parquet.pages import ChunkLayout, Floating, read_values
from jobs.sources.fast_parquet.runs import Octets
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


@dataclass(frozen=True)
class VectorChunk:
    """A column chunk of equally long lists, as far as its footer says: Arrow type, layout, byte range in the file."""

    kind: pa.DataType
    layout: ChunkLayout
    start: int
    stop: int


def vector_chunk(metadata: pq.FileMetaData, row_group: int, name: str, kind: pa.DataType) -> VectorChunk | None:
    """The chunk of the top-level field `name` of Arrow type `kind`; None when it may be anything else."""
    storage = _storage(kind)
    if not is_vector_type(storage):
        return None
    paths = [metadata.schema.column(leaf).path for leaf in range(metadata.num_columns)]
    leaves = [leaf for leaf, path in enumerate(paths) if f"{path}.".startswith(f"{name}.")]
    if len(leaves) != 1:  # names with dots in them can be taken for paths
        return None
    rows = metadata.row_group(row_group).num_rows
    chunk, column = metadata.row_group(row_group).column(leaves[0]), metadata.schema.column(leaves[0])
    physical, numbers = _PHYSICAL[storage.value_type]
    dim, left = divmod(chunk.num_values, rows) if rows else (0, 0)
    fits = (
        chunk.physical_type == physical
        and (physical != "FIXED_LEN_BYTE_ARRAY" or column.length == numbers.itemsize)
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
    layout = ChunkLayout(dim, rows, numbers, column.max_definition_level, _CODECS[chunk.compression])
    return VectorChunk(kind, layout, start, start + chunk.total_compressed_size)


class VectorColumn:
    """Hands out the rows of a `VectorChunk`, whose bytes are `blocks`, in order."""

    def __init__(self, chunk: VectorChunk, blocks: Blocks) -> None:
        self._kind, self._layout = chunk.kind, chunk.layout
        self._pages: Iterator[Octets] = read_values(blocks, chunk.layout)
        self._page = np.empty(0, np.uint8)

    def take(self, rows: int) -> pa.Array:
        """The next `rows` vectors. Raises `NeedsArrowReader` where they are not what the footer lets expect."""
        dim, number, storage = self._layout.dim, self._layout.kind, _storage(self._kind)
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
        return lists if storage is self._kind else pa.ExtensionArray.from_storage(self._kind, lists)


def _storage(kind: pa.DataType) -> pa.DataType:
    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
