"""A Parquet file, open for streaming, or the message that says what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from adaptor.errors import InputError
from jobs.sources import int96
from jobs.storage.objects import Objects
from jobs.storage.read_failures import read_failure


@dataclass(frozen=True)
class OpenParquet:
    """An open file: its bytes, its Parquet reader, and the best block size and number of reads ahead for ranges."""

    source: pa.NativeFile
    parquet: pq.ParquetFile
    block_bytes: int
    ahead: int


@contextmanager
def open_parquet(objects: Objects, key: str) -> Iterator[OpenParquet]:
    """Open a file: buffered reads, nothing read ahead, checksums of pages verified. `InputError` when it is no whole
    Parquet file; other errors as `read_failure` has them."""
    where = f"{objects.uri}: {key}"
    try:
        source = objects.arrow.open_input_file(objects.path(key))
        parquet = pq.ParquetFile(
            source,
            buffer_size=objects.buffer_bytes,
            pre_buffer=False,
            page_checksum_verification=True,
            coerce_int96_timestamp_unit=int96.UNIT,
        )
        _ = parquet.schema_arrow  # made now, to tell a bad schema from damaged data
    except (pa.ArrowException, OSError) as error:
        if failure := read_failure(objects, key, error, where):
            raise failure from error
        if isinstance(error, FileNotFoundError):
            raise InputError(f"{where} does not exist any more: it was removed after the source was listed") from error
        raise InputError(f"{where} {_what_is_wrong(objects, key, error)}") from error
    except (ValueError, TypeError, KeyError) as error:  # from an extension type that cannot read its own description
        raise InputError(f"{where} is a damaged Parquet file: {error}") from error
    with source, parquet:
        yield OpenParquet(source, parquet, objects.buffer_bytes, objects.requests_ahead)


def _what_is_wrong(objects: Objects, key: str, error: Exception) -> str:
    """The common cases have their own magic bytes at both ends of the file."""
    try:
        with objects.arrow.open_input_file(objects.path(key)) as file:
            size = file.size()
            head = file.read_at(min(4, size), 0)
            tail = file.read_at(4, size - 4) if size >= 12 else b""
    except (pa.ArrowException, OSError) as second:
        return f"cannot be opened: {second}"
    if size == 0:
        return "is empty (0 bytes): write it again or remove it"
    if b"PARE" in (head, tail):
        return "is an encrypted Parquet file: decrypt it first"
    if head != b"PAR1":
        return f"is not a Parquet file (it begins with {head!r}): remove it or give it another ending"
    if tail != b"PAR1":
        return f"is truncated ({size} bytes, the Parquet footer is missing): write it again"
    return f"is a damaged Parquet file: {error}"
