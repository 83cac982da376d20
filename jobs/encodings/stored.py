"""The codes in a column of an output, as the library takes them (adaptor/codec.py)."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from adaptor.quantisers import Codes


def stored_codes(column: pa.Array | pa.ChunkedArray) -> Codes:
    """A column of `fixed_size_binary` or `fixed_size_list` as codes (n, width); what stands at a null means nothing."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if not pa.types.is_fixed_size_binary(array.type):
        size = array.type.list_size
        numbers = array.values.slice(array.offset * size, len(array) * size)
        return np.asarray(numbers.to_numpy(zero_copy_only=False)).reshape(-1, size)
    width, stored = array.type.byte_width, array.buffers()[1] or pa.py_buffer(b"")
    return np.frombuffer(stored, np.uint8, len(array) * width, array.offset * width).reshape(-1, width)
