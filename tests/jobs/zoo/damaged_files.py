"""Files that are no whole Parquet file, or whose pages cannot be decoded: nothing is taken from them."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe

from tests.jobs.compress.workplace import table
from tests.jobs.zoo.kinds import Kind, encoded, from_bytes, sound, with_row_count

TRUNCATED = r"is truncated \(\d+ bytes, the Parquet footer is missing\): write it again"
NOT_PARQUET = r"is not a Parquet file \(it begins with .*\): remove it or give it another ending"
FOOTER = "is a damaged Parquet file"
#: How a page that cannot be decoded is named: the row group, and how many of its rows had come out well.
PAGE = r"row group {}, after row \d+: the data is damaged, write the file again"


def damaged_files() -> list[Kind]:
    """All of them."""
    return [*_truncated(), *_not_parquet(), *_footers(), *_pages(), *_row_counts()]


def _kind(name: str, refused: str, content: Callable[[], bytes]) -> Kind:
    return Kind(name, from_bytes(content), refused)


def _truncated() -> Iterator[Kind]:
    """Cut at, and inside, every structure of the file."""
    content = sound()
    footer = pq.read_metadata(pa.BufferReader(content))
    chunk = footer.row_group(0).column(1)
    cuts = {
        "after the magic": 4,
        "inside a page header": 9,
        "inside a page": chunk.data_page_offset + 40,
        **{f"before column {n}": footer.row_group(0).column(n).data_page_offset for n in range(1, 5)},
        **{f"before row group {n}": footer.row_group(n).column(0).data_page_offset for n in (1, 2)},
        "before the footer": len(content) - 8 - footer.serialized_size,
        "inside the footer": len(content) - 8 - footer.serialized_size // 2,
        "before the footer's length": len(content) - 8,
        "inside the footer's length": len(content) - 6,
        "before the last magic": len(content) - 4,
        "one byte short": len(content) - 1,
    }
    for place, size in cuts.items():
        yield _kind(f"truncated {place}", TRUNCATED, lambda size=size: content[:size])  # type: ignore[misc]
    yield _kind("empty file", r"is empty \(0 bytes\)", lambda: b"")


def _not_parquet() -> Iterator[Kind]:
    def arrow_file() -> bytes:
        sink = io.BytesIO()
        feather.write_feather(table(5, 1).drop(["price"]), sink)
        return sink.getvalue()

    def numpy_file() -> bytes:
        sink = io.BytesIO()
        np.save(sink, np.ones((3, 12)))
        return sink.getvalue()

    yield _kind("text", NOT_PARQUET, lambda: b"id,vector\n1,2\n" * 10)
    yield _kind("one byte", NOT_PARQUET, lambda: b"P")
    yield _kind("zeros", NOT_PARQUET, lambda: bytes(1000))
    yield _kind("gzip of a shard", NOT_PARQUET, lambda: gzip.compress(sound()))
    yield _kind("Arrow file", NOT_PARQUET, arrow_file)
    yield _kind("numpy file", NOT_PARQUET, numpy_file)
    yield _kind("shard with bytes before it", PAGE.format(0), lambda: b"\n" + sound())
    yield _kind("wrong last magic", TRUNCATED, lambda: sound()[:-4] + b"PAX1")
    yield _kind("shard with bytes behind it", TRUNCATED, lambda: sound() + b"\n")


def _footers() -> Iterator[Kind]:
    def length(value: int) -> Callable[[], bytes]:
        return lambda: sound()[:-8] + value.to_bytes(4, "little") + b"PAR1"

    def overwritten() -> bytes:
        content = bytearray(sound())
        content[-208:-8] = b"\xff" * 200
        return bytes(content)

    yield _kind("footer only magics", FOOTER, lambda: b"PAR1" + bytes(4) + b"PAR1")
    yield _kind("footer of length 0", FOOTER, length(0))
    yield _kind("footer longer than the file", FOOTER, length(1 << 20))
    yield _kind("footer of length 2^32-1", FOOTER, length(0xFFFFFFFF))
    yield _kind("footer cut short", FOOTER, length(100))
    yield _kind("footer overwritten", FOOTER, overwritten)
    yield _kind("encrypted footer", "is an encrypted Parquet file: decrypt it first", lambda: _encrypted(False))
    yield _kind("encrypted column", r"encrypted|decrypt", lambda: _encrypted(True))


def _pages() -> Iterator[Kind]:
    def chunk_of(content: bytes, group: int, path: str) -> tuple[int, int]:
        footer = pq.read_metadata(pa.BufferReader(content)).row_group(group)
        chunk = next(c for c in map(footer.column, range(footer.num_columns)) if c.path_in_schema == path)
        first = chunk.dictionary_page_offset or chunk.data_page_offset
        return first, first + chunk.total_compressed_size

    def patched(content: bytes, path: str, change: Callable[[bytearray, int, int], None]) -> bytes:
        """Damage to the chunk of one column in row group 1."""
        changed = bytearray(content)
        change(changed, *chunk_of(content, 1, path))
        return bytes(changed)

    def fill(value: int) -> Callable[[bytearray, int, int], None]:
        def change(content: bytearray, first: int, last: int) -> None:
            content[first:last] = bytes([value]) * (last - first)

        return change

    def flip(content: bytearray, first: int, last: int) -> None:
        content[last - 30] ^= 0x55

    vector = "vector.list.element"
    for name, column in (("vectors", vector), ("ids", "id"), ("a payload", "price")):
        yield _kind(f"zeros over {name}", PAGE.format(1), lambda c=column: patched(sound(), c, fill(0)))  # type: ignore[misc]
        yield _kind(f"ones over {name}", PAGE.format(1), lambda c=column: patched(sound(), c, fill(255)))  # type: ignore[misc]
    yield _kind(
        "flipped bits in a gzip page",  # other codecs notice some, but not all
        PAGE.format(1),
        lambda: patched(sound(compression="gzip", use_dictionary=False), vector, flip),
    )
    for name, column in (("vectors", vector), ("ids", "id")):
        yield _kind(
            f"wrong CRC of {name}",
            PAGE.format(1),
            lambda c=column: patched(  # type: ignore[misc]
                sound(compression="none", use_dictionary=False, write_page_checksum=True), c, flip
            ),
        )
    yield _kind("rows cut out of the middle", PAGE.format(2), lambda: _without_the_middle(sound()))
    yield _kind("footer of another shard", "row group 0", lambda: _swapped_footer())


def _row_counts() -> Iterator[Kind]:
    for claimed in (778, 1 << 40):
        yield _kind(
            f"footer that says {claimed} of 777 rows",
            rf"row group 0, after row 777: the data is damaged.* hold 777 rows, the footer says {claimed}",
            lambda claimed=claimed: with_row_count(claimed),  # type: ignore[misc]
        )


def _without_the_middle(content: bytes) -> bytes:
    footer = pq.read_metadata(pa.BufferReader(content))
    starts = [footer.row_group(group).column(0).data_page_offset for group in range(3)]
    (first, last), *_ = list(pairwise(starts))[1:]
    return content[:first] + content[last:]


def _swapped_footer() -> bytes:
    mine, other = sound(60), encoded(table(47, 2), row_group_size=13)
    size = int.from_bytes(other[-8:-4], "little")
    kept = len(mine) - 8 - int.from_bytes(mine[-8:-4], "little")
    return mine[:kept] + other[-8 - size :]


def _encrypted(plaintext_footer: bool) -> bytes:
    class Keys(pe.KmsClient):  # type: ignore[misc]
        def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> bytes:
            return key_bytes

        def unwrap_key(self, wrapped_key: bytes, master_key_identifier: str) -> bytes:
            return wrapped_key

    configuration = pe.EncryptionConfiguration(
        footer_key="k", column_keys={"c": ["id"]}, double_wrapping=False, plaintext_footer=plaintext_footer
    )
    factory = pe.CryptoFactory(lambda _: Keys())
    properties = factory.file_encryption_properties(pe.KmsConnectionConfig(), configuration)
    sink, content = pa.BufferOutputStream(), table(5, 1)
    with pq.ParquetWriter(sink, content.schema, encryption_properties=properties) as writer:
        writer.write_table(content)
    return bytes(sink.getvalue())
