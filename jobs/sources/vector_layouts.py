"""Vectors that are not a plain list of numbers: numbers in memory (bytes), and bfloat16."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adaptor.errors import InputError
from jobs.config.sections import VectorsSection
from jobs.sources.struct_paths import is_list, large_lists, list_offsets


def stored_type(kind: pa.DataType, layout: VectorsSection, where: str) -> pa.DataType:
    """The type that `stored_vectors` gives for a column of this type; `InputError` when it cannot."""
    if layout.format == "bytes":
        number = pa.from_numpy_dtype(_native(layout))
        if pa.types.is_fixed_size_binary(kind):
            dim, rest = divmod(kind.byte_width, _stored(layout).itemsize)
            if rest:
                raise InputError(
                    f"{where}: its {kind.byte_width} bytes a row are no whole number of {layout.dtype}: "
                    "check vectors.dtype"
                )
            return pa.list_(number, dim)
        if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
            return pa.large_list(number)
        raise InputError(f"{where}: is of type {kind}: vectors.format: bytes needs binary or fixed_size_binary")
    storage = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    if layout.dtype == "bfloat16" or _holds_bfloat16(storage):
        width = is_list(storage) and _bytes_wide(storage.value_type)
        if width != 2:
            raise InputError(f"{where}: is of type {kind}: bfloat16 needs lists of 16-bit integers, or bytes")
        fixed = pa.types.is_fixed_size_list(storage)
        return pa.list_(pa.float32(), storage.list_size) if fixed else pa.large_list(pa.float32())
    return kind


def stored_vectors(column: pa.Array, layout: VectorsSection) -> pa.Array:
    """The column as lists of numbers. A row of bytes that are no whole number of numbers becomes an empty list."""
    if layout.format == "bytes":
        return _fixed_bytes(column, layout) if pa.types.is_fixed_size_binary(column.type) else _bytes(column, layout)
    column = column.storage if isinstance(column, pa.ExtensionArray) else column
    if layout.dtype != "bfloat16" and not _holds_bfloat16(column.type):
        return column
    items = column.values
    items = items.storage if isinstance(items, pa.ExtensionArray) else items
    halves = np.frombuffer(items.buffers()[-1], "<u2")[items.offset : items.offset + len(items)]
    numbers = pa.array(_widened(halves))
    if items.null_count:
        numbers = pc.if_else(items.is_valid(), numbers, None)
    if pa.types.is_fixed_size_list(column.type):
        size = column.type.list_size
        numbers = numbers.slice(column.offset * size, len(column) * size)
        mask = column.is_null() if column.null_count else None
        return pa.FixedSizeListArray.from_arrays(numbers, size, mask=mask)
    offsets, present = list_offsets(column)
    return large_lists(offsets, numbers, present)


def _fixed_bytes(column: pa.Array, layout: VectorsSection) -> pa.Array:
    width = column.type.byte_width
    octets = np.frombuffer(column.buffers()[1], np.uint8)[column.offset * width : (column.offset + len(column)) * width]
    numbers = pa.array(_numbers(octets, layout))
    mask = column.is_null() if column.null_count else None
    return pa.FixedSizeListArray.from_arrays(numbers, width // _stored(layout).itemsize, mask=mask)


def _bytes(column: pa.Array, layout: VectorsSection) -> pa.Array:
    column = pc.cast(column, pa.large_binary())
    size = _stored(layout).itemsize
    ends = np.frombuffer(column.buffers()[1], np.int64)[column.offset : column.offset + len(column) + 1]
    present = column.is_valid().to_numpy(zero_copy_only=False)
    lengths = np.diff(ends)
    usable = present & (lengths % size == 0)
    data = column.buffers()[2]
    octets = np.frombuffer(data, np.uint8)[ends[0] : ends[-1]] if data is not None else np.empty(0, np.uint8)
    if not usable.all():
        octets = octets[np.repeat(usable, lengths)]
    counts = np.where(usable, lengths // size, 0)
    offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)))
    return large_lists(offsets, pa.array(_numbers(octets, layout)), present)


def _numbers(octets: Any, layout: VectorsSection) -> Any:
    """Numbers in memory, in this machine's order; bfloat16 as float32."""
    numbers = np.ascontiguousarray(octets).view(_stored(layout))
    if layout.dtype == "bfloat16":
        return _widened(numbers)
    return numbers.astype(_native(layout), copy=False)


def _widened(halves: Any) -> Any:
    """bfloat16 is the upper half of a float32."""
    return (halves.astype(np.uint32) << np.uint32(16)).view(np.float32)


def _stored(layout: VectorsSection) -> np.dtype[Any]:
    number = np.dtype("uint16" if layout.dtype == "bfloat16" else layout.dtype)
    return number.newbyteorder("<" if layout.byte_order == "little" else ">")


def _native(layout: VectorsSection) -> np.dtype[Any]:
    return np.dtype("float32" if layout.dtype == "bfloat16" else layout.dtype)


def _holds_bfloat16(kind: pa.DataType) -> bool:
    """Whether these are lists of an extension type of that name (Lance's)."""
    return (
        is_list(kind)
        and isinstance(kind.value_type, pa.BaseExtensionType)
        and "bfloat16" in str(kind.value_type.extension_name)
    )


def _bytes_wide(kind: pa.DataType) -> int:
    kind = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    if pa.types.is_fixed_size_binary(kind):
        return int(kind.byte_width)
    return int(kind.bit_width) // 8 if pa.types.is_integer(kind) else 0
