"""Readable files with rows that are no usable vector or have no id: the others go through."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tests.jobs.compress.workplace import DIM, lists, table, vectors
from tests.jobs.zoo.kinds import Kind, from_table, replaced

NAN, INF = float("nan"), float("inf")


def bad_rows() -> list[Kind]:
    """All of them."""
    one: list[float | None] = [1.0] * DIM
    rows: dict[str, tuple[list[float | None] | None, str]] = {
        "null vector": (None, "null vector"),
        "null element": ([*one[:-1], None], "null element"),
        "only null elements": ([None] * DIM, "null element"),
        "NaN": ([*one[:-1], NAN], "NaN"),
        "infinity": ([INF, *one[1:]], "infinite"),
        "minus infinity": ([-INF, *one[1:]], "infinite"),
        "both infinities": ([INF, -INF, *one[2:]], "infinite"),
        "infinity and NaN": ([INF, NAN, *one[2:]], "NaN"),
        "zero vector": ([0.0] * DIM, "zero vector"),
        "negative zeros": ([-0.0] * DIM, "zero vector"),
        "denormals": ([1e-40] * DIM, "zero after shortening"),
        "numbers whose squares overflow": ([3e38] * DIM, "overflow"),
        "empty list": ([], f"wrong length 0 (expected {DIM})"),
        "one number too few": (one[:-1], f"wrong length {DIM - 1} (expected {DIM})"),
        "one number too many": ([*one, 1.0], f"wrong length {DIM + 1} (expected {DIM})"),
    }
    return [
        *(
            Kind(f"row with {name}", from_table(_with({23: row})), rejected={23: why})
            for name, (row, why) in rows.items()
        ),
        *_several(rows),
        *_other_types(),
        *_ids(),
        *_doubled(),
    ]


def _with(bad: dict[int, Any], kind: pa.DataType | None = None) -> Callable[[], pa.Table]:
    """A good table with these rows as vectors."""

    def column() -> pa.Array:
        rows: list[Any] = vectors(60, 1).tolist()
        for row, vector in bad.items():
            rows[row] = vector
        return lists(rows, kind)

    return replaced("vector", column)


def _several(rows: dict[str, tuple[list[float | None] | None, str]]) -> list[Kind]:
    vectors_and_reasons = [*rows.values()]
    everywhere = {row: pair for row, pair in zip(range(0, 60, 4), vectors_and_reasons, strict=True)}
    edges = (0, 19, 20, 39, 40, 59)
    return [
        Kind(
            "row of every reason",
            from_table(_with({row: vector for row, (vector, _) in everywhere.items()})),
            rejected={row: why for row, (_, why) in everywhere.items()},
        ),
        Kind(
            "first and last rows of every row group bad",
            from_table(_with(dict.fromkeys(edges))),
            rejected=dict.fromkeys(edges, "null vector"),
        ),
        Kind(
            "one whole row group bad",
            from_table(_with(dict.fromkeys(range(20, 40)))),
            rejected=dict.fromkeys(range(20, 40), "null vector"),
        ),
        Kind(
            "no good row",
            from_table(_with(dict.fromkeys(range(60), [0.0] * DIM))),
            rejected=dict.fromkeys(range(60), "zero vector"),
        ),
        Kind(
            "other dimension in every row",
            from_table(replaced("vector", lambda: lists([[1.0] * 5] * 60, pa.list_(pa.float32(), 5)))),
            rejected=dict.fromkeys(range(60), f"wrong length 5 (expected {DIM})"),
        ),
    ]


def _other_types() -> list[Kind]:
    return [
        Kind(
            "float64 beyond float32",
            from_table(_with({7: [1e300] * DIM}, pa.list_(pa.float64()))),
            rejected={7: "infinite"},
        ),
        Kind(
            "float16 infinity",
            from_table(replaced("vector", lambda: _halves({41: np.inf}))),
            rejected={41: "infinite"},
        ),
        Kind(
            "null in a fixed_size_list",
            from_table(_with({5: None, 59: [None] * DIM}, pa.list_(pa.float32(), DIM))),
            rejected={5: "null vector", 59: "null element"},
        ),
        Kind(
            "ragged large_list",
            from_table(_with({30: [1.0], 31: [2.0] * 40}, pa.large_list(pa.float32()))),
            rejected={30: f"wrong length 1 (expected {DIM})", 31: f"wrong length 40 (expected {DIM})"},
        ),
    ]


def _halves(bad: dict[int, float]) -> pa.Array:
    numbers = vectors(60, 1).astype(np.float16)
    for row, value in bad.items():
        numbers[row, 0] = value
    return pa.FixedSizeListArray.from_arrays(pa.array(numbers.ravel()), DIM)


def _ids() -> list[Kind]:
    def ids(values: Sequence[Any], kind: pa.DataType | None = None) -> Callable[[], pa.Table]:
        return replaced("id", lambda: pa.array(values, kind))

    def not_utf8() -> pa.Array:
        texts = [f"id-{row}".encode() for row in range(60)]
        texts[33] = b"\xff\xfe"
        binary = pa.array(texts, pa.binary())
        return pa.Array.from_buffers(pa.string(), 60, binary.buffers())

    def both() -> pa.Table:
        return _with({12: None})().set_column(1, "id", pa.array([None if row == 12 else row for row in range(60)]))

    return [
        Kind("null id", from_table(ids([None, *map(str, range(59))])), rejected={0: "null id"}),
        Kind("null integer id", from_table(ids([*range(59), None], pa.int32())), rejected={59: "null id"}),
        Kind("no ids at all", from_table(ids([None] * 60, pa.string())), rejected=dict.fromkeys(range(60), "null id")),
        Kind("id that is no UTF-8", from_table(replaced("id", not_utf8)), rejected={33: "id is not UTF-8"}),
        Kind("null id and null vector", from_table(both), rejected={12: "null id"}),
    ]


def _doubled() -> list[Kind]:
    def once(rows: int = 60) -> pa.Array:
        return pa.array([f"id-{row % rows}" for row in range(60)])

    return [
        Kind("two rows of one id", from_table(replaced("id", lambda: once(59))), doubled=1),
        Kind("one id for all rows", from_table(replaced("id", lambda: once(1))), doubled=59),
        Kind("whole rows twice", from_table(lambda: pa.concat_tables([table(30, 3), table(30, 3)])), doubled=30),
    ]
