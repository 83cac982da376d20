"""A kind of shard: how it is made and what becomes of it under `reading.bad_rows` stop and quarantine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.jobs.compress.workplace import table

ROW_GROUP_ROWS = 20


@dataclass(frozen=True)
class Kind:
    """One kind. By default all its rows go through.

    `refused` is a pattern of what is said when nothing can be taken from the file, whatever the policy. `rejected` maps
    rows of the file to the reason why they are set aside, or end the job. `doubled` counts rows whose id came before.
    """

    name: str
    make: Callable[[Path], object]
    refused: str | None = None
    rejected: Mapping[int, str] = field(default_factory=dict)
    doubled: int = 0

    @property
    def key(self) -> str:
        """Key of its shard."""
        return f"{self.name}.parquet"


def sound(rows: int = 60, **options: Any) -> bytes:
    """The bytes of a good shard, in row groups of 20 rows unless told otherwise."""
    return encoded(table(rows, 1), **options)


def encoded(content: pa.Table, **options: Any) -> bytes:
    """A table as the bytes of a Parquet file."""
    sink = pa.BufferOutputStream()
    pq.write_table(content, sink, **{"row_group_size": ROW_GROUP_ROWS, **options})
    return bytes(sink.getvalue())


def from_bytes(content: Callable[[], bytes]) -> Callable[[Path], object]:
    """Make the shard from bytes."""
    return lambda path: path.write_bytes(content())


def from_table(content: Callable[[], pa.Table], **options: Any) -> Callable[[Path], object]:
    """Make the shard from a table."""
    return from_bytes(lambda: encoded(content(), **options))


def replaced(column: str, values: Callable[[], pa.Array], rows: int = 60) -> Callable[[], pa.Table]:
    """A good table with one column exchanged."""

    def content() -> pa.Table:
        good = table(rows, 1)
        return good.set_column(good.schema.get_field_index(column), column, values())

    return content


#: What stands before a 64-bit number that follows the field before it, and before a list of two of them.
_NUMBER, _TWO = b"\x16", b"\x26"


def with_row_count(claimed: int) -> bytes:
    """A shard with 777 rows in its pages and another count in its footer."""
    return _with_footer(_NUMBER + _zigzag(777), _NUMBER + _zigzag(claimed))


def with_number_count(claimed: int) -> bytes:
    """A shard with 777 vectors of 12 numbers in its pages, and another count of numbers in its footer."""
    return _with_footer(_NUMBER + _zigzag(777 * 12), _NUMBER + _zigzag(claimed))


def with_wrong_histogram() -> bytes:
    """A shard whose footer counts one repetition level of its vectors too few. Asked for what it knows of that column,
    pyarrow 26 ends the process."""
    levels = [_zigzag(777), _zigzag(777 * 11)]
    return _with_footer(_TWO + levels[0] + levels[1], b"\x16" + levels[0])


def _with_footer(old: bytes, new: bytes) -> bytes:
    content = encoded(table(777, 1), row_group_size=1000, use_dictionary=False)
    size = int.from_bytes(content[-8:-4], "little")
    footer = content[-8 - size : -8]
    assert old in footer
    footer = footer.replace(old, new)
    return content[: -8 - size] + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def _zigzag(number: int) -> bytes:
    """A positive number as Thrift's compact protocol writes it."""
    number, digits = number << 1, []
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*digits, number])
