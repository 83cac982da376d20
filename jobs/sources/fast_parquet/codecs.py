"""Decompression of pages to a certain size.

pyarrow's `Codec.decompress` does not say how many bytes came out: where they are too few, the rest is arbitrary. So
only codecs are used whose data hold their length, and whose library checks it: Snappy and Zstandard. (Gzip and Brotli
spend their time in decompression anyway.)
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from jobs.sources.fast_parquet.headers import NeedsArrowReader, varint
from jobs.sources.fast_parquet.runs import Octets

_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


def decompress(codec: str | None, stored: Octets, size: int) -> Octets:
    """Exactly `size` bytes; `NeedsArrowReader` when `stored` does not hold them. `codec`: a key of `SIZES`, or None."""
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


#: How many bytes the data of each codec will be.
SIZES: dict[str, Callable[[Octets], int | None]] = {"snappy": lambda stored: varint(stored, 0)[0], "zstd": _zstd_size}
