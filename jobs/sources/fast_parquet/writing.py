"""Vectors straight into Parquet pages: the counterpart of reading them directly, at a fraction of pyarrow's cost.

A Parquet list sources a repetition and a definition level for every number, and pyarrow works out, counts and encodes
each of them. Lists of one length without a null have the same levels again and again, which are known beforehand: the
numbers are written as they lie in memory. All other columns, and the footer, are pyarrow's: it writes them to the same
file, and the footer that it puts at the end is replaced by one that tells of the vectors too.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.sources.fast_parquet.headers import Encoding, Kind
from jobs.sources.fast_parquet.thrift import I32, I64, LIST, STRUCT, Struct, encode, parse, varint

_MAGIC = b"PAR1"
#: Bytes of numbers in a page, about as many as pyarrow takes.
_PAGE_BYTES = 1 << 20
#: Numbers of a list from which on runs of levels take less than a bit for each.
_SHORT_LISTS = 32
#: Fields in parquet.thrift. FileMetaData, then RowGroup, then ColumnChunk, then ColumnMetaData.
_NUM_ROWS, _ROW_GROUPS = 3, 4
_COLUMNS, _GROUP_BYTES, _GROUP_STORED = 1, 2, 6
_META = 3
_NUM_VALUES, _PLAIN_BYTES, _STORED_BYTES, _PAGE_OFFSET, _ENCODING_STATS, _SIZE_STATISTICS = 5, 6, 7, 9, 13, 16
_STATS_COUNT = 3


class VectorPages:
    """Writes the `column` of a file's `schema`, a `fixed_size_list` of numbers, to the `sink` that a ParquetWriter of
    the other columns writes to. Not compressed; no row and no number may be null."""

    def __init__(self, schema: pa.Schema, column: str, sink: pa.NativeFile) -> None:
        self._index = schema.get_field_index(column)
        self._sink = sink
        field = schema.field(self._index)
        self._width, self._bytes = field.type.list_size, field.type.value_type.byte_width
        self._whole = _footer(_file(schema))
        self._leaf = _leaves_of(*(schema.field(index).type for index in range(self._index)))
        self._chunk, self._top = _example(field.remove_metadata())
        self._written: list[tuple[int, int, int, int]] = []  # by row group: offset, bytes, numbers, pages
        #: The schema of all other columns.
        self.others = schema.remove(self._index)

    def without(self, table: pa.Table) -> pa.Table:
        """The other columns of a table: those of a row group that pyarrow is to write before `append`."""
        return table.remove_column(self._index)

    def append(self, table: pa.Table) -> None:
        """Write the vectors of one row group."""
        vectors, start, pages = table.column(self._index), self._sink.tell(), 0
        rows = max(1, _PAGE_BYTES // (self._width * self._bytes))
        for first in range(0, len(vectors), rows):
            page = vectors.slice(first, rows)
            levels = self._levels(len(page))
            count = len(page) * self._width
            self._sink.write(_header(len(levels) + count * self._bytes, count) + levels)
            for chunk in page.chunks:
                self._sink.write(self._numbers(chunk))
            pages += 1
        self._written.append((start, self._sink.tell() - start, len(vectors) * self._width, pages))

    def amend(self, path: Path, end: int) -> None:
        """Replace the footer that pyarrow wrote from byte `end` of the closed file on: put the vectors in."""
        with open(path, "r+b") as file:
            file.seek(end)
            tail = file.read()
            if tail[-4:] != _MAGIC or int.from_bytes(tail[-8:-4], "little") != len(tail) - 8:
                raise ValueError(f"{path} does not end with the footer alone: pyarrow writes files in another way")
            footer = encode(self._amended(parse(tail[:-8])))
            file.seek(end)
            file.truncate()
            file.write(footer + len(footer).to_bytes(4, "little") + _MAGIC)

    def _amended(self, footer: Struct) -> Struct:
        """The footer of the whole schema, with the row groups of `footer` and our column chunks in them."""
        groups: list[Struct] = footer[_ROW_GROUPS][1][1]
        for group, (start, size, numbers, pages) in zip(groups, self._written, strict=True):
            meta = dict(self._chunk[_META][1])
            meta.pop(_SIZE_STATISTICS, None)
            meta |= {_NUM_VALUES: (I64, numbers), _PLAIN_BYTES: (I64, size), _STORED_BYTES: (I64, size)}
            meta[_PAGE_OFFSET] = I64, start
            kind, (stats,) = meta[_ENCODING_STATS][1]
            meta[_ENCODING_STATS] = LIST, (kind, [stats | {_STATS_COUNT: (I32, pages)}])
            group[_COLUMNS][1][1].insert(self._leaf, self._chunk | {_META: (STRUCT, meta)})
            for field in (_GROUP_BYTES, _GROUP_STORED):
                group[field] = I64, group[field][1] + size
        return self._whole | {_NUM_ROWS: footer[_NUM_ROWS], _ROW_GROUPS: footer[_ROW_GROUPS]}

    def _levels(self, rows: int) -> bytes:
        """Repetition levels of `rows` lists, 0, 1, 1, … for each, and definition levels, always the highest.

        Two runs for each list take 4 or 5 bytes; below 32 numbers a bit for each of them takes less.
        """
        numbers = rows * self._width
        if self._width < _SHORT_LISTS:
            bits = np.ones(numbers, np.uint8)
            bits[:: self._width] = 0
            repetitions = varint(-(-numbers // 8) << 1 | 1) + np.packbits(bits, bitorder="little").tobytes()
        else:
            repetitions = (b"\x02\0" + varint(self._width - 1 << 1) + b"\1") * rows
        definitions = varint(numbers << 1) + bytes([self._top])
        return b"".join(len(levels).to_bytes(4, "little") + levels for levels in (repetitions, definitions))

    def _numbers(self, lists: pa.FixedSizeListArray) -> pa.Buffer:
        """The numbers of a chunk as they lie in memory."""
        flat = lists.flatten()
        if lists.null_count or flat.null_count or len(flat) != len(lists) * self._width:
            raise ValueError("a null among short vectors")
        return flat.buffers()[1].slice(flat.offset * self._bytes, len(flat) * self._bytes)


def _header(size: int, count: int) -> bytes:
    """The header of a data page, version 1, of `count` plain numbers; `size` in bytes with the levels."""
    page: Struct = {1: (I32, count), 2: (I32, Encoding.PLAIN), 3: (I32, Encoding.RLE), 4: (I32, Encoding.RLE)}
    return encode({1: (I32, Kind.DATA), 2: (I32, size), 3: (I32, size), 5: (STRUCT, page)})


@cache
def _example(field: pa.Field) -> tuple[Struct, int]:
    """The column chunk of one such vector as pyarrow's footer tells of it, and the column's highest definition level.

    Kept: a file costs a millisecond, and a source can have a million of small ones.
    """
    schema = pa.schema([field])
    file = _file(schema, pa.table([pa.array([[0] * field.type.list_size], field.type)], schema=schema))
    column = pq.read_metadata(pa.BufferReader(file)).schema.column(0)
    return _footer(file)[_ROW_GROUPS][1][1][0][_COLUMNS][1][1][0], column.max_definition_level


@cache
def _leaves_of(*kinds: pa.DataType) -> int:
    """How many Parquet columns there are for columns of these types."""
    schema = pa.schema([(str(index), kind) for index, kind in enumerate(kinds)])
    return int(pq.read_metadata(pa.BufferReader(_file(schema))).num_columns)


def _footer(file: bytes) -> Struct:
    return parse(file[-8 - int.from_bytes(file[-8:-4], "little") : -8])


def _file(schema: pa.Schema, content: pa.Table | None = None) -> bytes:
    """The file that pyarrow makes of this schema and content."""
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, schema, compression="none", use_dictionary=False, write_statistics=False) as writer:
        if content is not None:
            writer.write_table(content)
    return bytes(sink.getvalue())
