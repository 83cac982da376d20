"""The values of one column chunk of equally long lists, page by page, once it is proven that the lists are that.

Every list has `dim` elements and none is null exactly when the repetition levels are 0, 1, 1, … with a 0 every `dim`
levels and all definition levels are the highest: the values then lie end to end and no level has to be decoded.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from jobs.sources.fast_parquet.blocks import Blocks
from jobs.sources.fast_parquet.headers import Encoding, Kind, NeedsArrowReader, PageHeader, read_header, varint
from jobs.sources.fast_parquet.runs import Octets, regular, unpack

Floating = np.dtype[np.float16] | np.dtype[np.float32] | np.dtype[np.float64]

#: Bytes read first for a page header, and the most that one may have (statistics can hold long values).
_HEADER_BYTES, _MOST_HEADER_BYTES = 1 << 10, 1 << 20
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_DICTIONARIES = (Encoding.RLE_DICTIONARY, Encoding.PLAIN_DICTIONARY)


@dataclass(frozen=True)
class VectorChunk:
    """A column chunk of equally long lists, as far as its footer says: Arrow type, numbers per list, number of lists,
    type of the numbers, highest definition level, codec (None: uncompressed), and byte range in the file."""

    arrow_type: pa.DataType
    dim: int
    rows: int
    number: Floating
    top: int
    codec: str | None
    start: int
    stop: int


def read_values(blocks: Blocks, chunk: VectorChunk) -> Iterator[Octets]:
    """The numbers of all lists, end to end, as the bytes of one page after the other.

    Bytes, because numpy copies numbers one by one that do not begin at multiples of their size. Raises
    `NeedsArrowReader` for nulls, lists of another length, an unknown encoding, a wrong checksum, bytes that do not fit.
    """
    dictionary: Octets | None = None
    done = 0
    while done < chunk.rows * chunk.dim:
        header = _next_header(blocks)
        stored = blocks.take(header.stored_bytes)
        if header.checksum is not None and zlib.crc32(stored.data) != header.checksum:
            raise NeedsArrowReader("a page whose checksum is wrong")
        if header.kind == Kind.DICTIONARY:
            if dictionary is not None or done:
                raise NeedsArrowReader("a dictionary that is not the first page")
            if header.encoding not in (Encoding.PLAIN, Encoding.PLAIN_DICTIONARY):
                raise NeedsArrowReader(f"a dictionary in encoding {header.encoding}")
            body = _decompress(chunk.codec, stored, header.plain_bytes)
            # A copy: uncompressed, it is memory of `blocks`, which the next page overwrites.
            dictionary = _checked_size(body, header, chunk.number).copy()
            continue
        if header.values > chunk.rows * chunk.dim - done:
            raise NeedsArrowReader("a page with more values than its column chunk has left")
        yield _values(_checked_body(stored, header, chunk, done), header, chunk.number, dictionary)
        done += header.values


def _next_header(blocks: Blocks) -> PageHeader:
    size = _HEADER_BYTES
    while True:
        data = blocks.peek(size)
        try:
            header, length = read_header(data.data)
        except IndexError:
            if len(data) < size or size >= _MOST_HEADER_BYTES:
                raise NeedsArrowReader("a page header that does not end") from None
            size *= 8
            continue
        blocks.take(length)
        return header


def _checked_body(stored: Octets, header: PageHeader, chunk: VectorChunk, done: int) -> Octets:
    """The encoded values of a data page, after the proof that its lists are regular."""
    if header.level_bytes is None:
        body = _decompress(chunk.codec, stored, header.plain_bytes)
        lists, body = _prefixed(body)
        nulls, body = _prefixed(body)
    else:
        first, second = header.level_bytes
        if first + second > len(stored):
            raise NeedsArrowReader("levels longer than their page")
        lists, nulls, body = stored[:first], stored[first : first + second], stored[first + second :]
        body = _decompress(chunk.codec if header.compressed else None, body, header.plain_bytes - first - second)
        if header.rows != -(-(done + header.values) // chunk.dim) + (-done // chunk.dim):
            raise NeedsArrowReader("a page with another number of rows than its levels say")
    with contextlib.suppress(IndexError):
        if regular(lists, 1, done, header.values, chunk.dim) and regular(nulls, chunk.top, 0, header.values, 0):
            return body
    raise NeedsArrowReader("nulls, or lists of different lengths")


def _prefixed(body: Octets) -> tuple[Octets, Octets]:
    """Levels that begin with their length in four bytes, and what follows them."""
    size = int.from_bytes(body[:4].tobytes(), "little")
    if len(body) < 4 or size > len(body) - 4:
        raise NeedsArrowReader("levels longer than their page")
    return body[4 : 4 + size], body[4 + size :]


def _values(body: Octets, header: PageHeader, number: Floating, dictionary: Octets | None) -> Octets:
    if header.encoding == Encoding.PLAIN:
        return _checked_size(body, header, number)
    if header.encoding == Encoding.BYTE_STREAM_SPLIT:
        return _checked_size(body, header, number).reshape(number.itemsize, -1).T.reshape(-1)
    if header.encoding in _DICTIONARIES and dictionary is not None and len(body) and body[0] <= 32:
        try:
            indices = unpack(body[1:], int(body[0]), header.values)
            return dictionary.reshape(-1, number.itemsize)[indices].reshape(-1)
        except IndexError as problem:
            raise NeedsArrowReader("an index beyond the dictionary, or data that end too early") from problem
    raise NeedsArrowReader(f"values in encoding {header.encoding}")


def _checked_size(body: Octets, header: PageHeader, number: Floating) -> Octets:
    if len(body) != header.values * number.itemsize:
        raise NeedsArrowReader("a page of another size than its values need")
    return body


def _decompress(codec: str | None, stored: Octets, size: int) -> Octets:
    """Exactly `size` bytes; `NeedsArrowReader` when `stored` does not hold them.

    pyarrow's `Codec.decompress` does not say how many bytes came out: where they are too few, the rest is arbitrary.
    """
    if codec is None and len(stored) == size:
        return stored
    try:
        if codec is not None and SIZES[codec](stored) == size:
            return np.frombuffer(pa.Codec(codec).decompress(pa.py_buffer(stored), size), np.uint8)
    except (pa.ArrowException, OSError, IndexError) as problem:
        raise NeedsArrowReader("a page that cannot be decompressed") from problem
    raise NeedsArrowReader("a page of another size than its header says")


def _zstd_size(stored: Octets) -> int | None:
    """Content size of a frame (RFC 8878, 3.1.1.1); None where it is not given."""
    if stored[:4].tobytes() != _ZSTD_MAGIC:
        return None
    descriptor = int(stored[4])
    single, flag = descriptor >> 5 & 1, descriptor >> 6
    length = (single, 2, 4, 8)[flag]
    start = 5 + (1 - single) + (0, 1, 2, 4)[descriptor & 3]
    if not length or len(stored) < start + length:
        return None
    return int.from_bytes(stored[start : start + length].tobytes(), "little") + (256 if length == 2 else 0)


#: How many bytes the data of each codec will be. Only codecs whose data say so, and whose library checks it. (Gzip and
#: Brotli spend their time in decompression anyway.)
SIZES: dict[str, Callable[[Octets], int | None]] = {"snappy": lambda stored: varint(stored, 0)[0], "zstd": _zstd_size}
