"""Whole Parquet files whose columns do not fit the configuration: nothing is taken from them."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from tests.jobs.compress.workplace import DIM, table
from tests.jobs.zoo.kinds import Kind, from_table, replaced


def wrong_columns() -> list[Kind]:
    """All of them."""
    return [*_absent(), *_ids(), *_vectors(), _fine_times(), *_pickles()]


def _absent() -> list[Kind]:
    def renamed(old: str, new: str) -> Callable[[], pa.Table]:
        return lambda: table(60, 1).rename_columns({old: new})

    def doubled(name: str) -> Callable[[], pa.Table]:
        return lambda: table(60, 1).append_column(name, table(60, 2)[name])

    there = "it has .*: set source"
    return [
        Kind("no id column", from_table(lambda: table(60, 1).drop(["id"])), f"no column 'id'; {there}.id_column"),
        Kind("no vector column", from_table(lambda: table(60, 1).drop(["vector"])), f"no column 'vector'; {there}"),
        Kind("id column of another case", from_table(renamed("id", "ID")), f"no column 'id'; {there}"),
        Kind("vector column renamed", from_table(renamed("vector", "vectors")), "no column 'vector'; it has 'vectors'"),
        Kind("no columns", from_table(lambda: pa.table({})), "no column 'id'; it has no columns"),
        Kind("two id columns", from_table(doubled("id")), "2 columns are named 'id': rename all but one"),
        Kind("two vector columns", from_table(doubled("vector")), "2 columns are named 'vector': rename all but one"),
    ]


def _wrong(column: str, name: str, values: list[Any], kind: pa.DataType, rule: str) -> Kind:
    return Kind(f"{column} column of {name}", from_table(replaced(column, lambda: pa.array(values * 60, kind))), rule)


def _fine_times() -> Kind:
    times = replaced("payload", lambda: pa.array([1] * 60, pa.timestamp("ns")))
    rule = r"row group 0: column 'payload' holds INT96 timestamps finer than a microsecond"
    return Kind("INT96 times of nanoseconds", from_table(times, use_deprecated_int96_timestamps=True), rule)


def _ids() -> list[Kind]:
    rule = r"column 'id' is of type .*: ids must be strings, integers or UUIDs"
    kinds: dict[str, tuple[Any, pa.DataType]] = {
        "floats": (1.5, pa.float64()),
        "booleans": (True, pa.bool_()),
        "binaries": (b"a", pa.binary()),
        "fixed_size_binaries": (b"0123456789abcdef", pa.binary(16)),
        "lists": (["a"], pa.list_(pa.string())),
        "structs": ({"a": 1}, pa.struct([("a", pa.int64())])),
        "times": (0, pa.timestamp("us")),
        "nulls": (None, pa.null()),
    }
    return [_wrong("id", name, [value], kind, rule) for name, (value, kind) in kinds.items()]


def _vectors() -> list[Kind]:
    rule = r"column 'vector' is of type .*: vectors must be a list, large_list or fixed_size_list of float16"
    kinds: dict[str, tuple[Any, pa.DataType]] = {
        "floats": (1.5, pa.float32()),
        "texts": ("[1.0, 2.0]", pa.string()),
        "binaries": (b"\x00" * 48, pa.binary()),
        "integers": ([1] * DIM, pa.list_(pa.int32())),
        "lists of lists": ([[1.0] * DIM], pa.list_(pa.list_(pa.float32()))),
        "structs": ({"values": [1.0]}, pa.struct([("values", pa.list_(pa.float32()))])),
        "lists of structs": ([{"x": 1.0}], pa.list_(pa.struct([("x", pa.float32())]))),
        "decimals": ([1] * DIM, pa.list_(pa.decimal128(5, 2))),
        "nulls": (None, pa.null()),
    }
    return [_wrong("vector", name, [value], kind, rule) for name, (value, kind) in kinds.items()]


class _Bomb:
    """Unpickled, it ends the test."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (_exploded, ("data from a source was unpickled",))


def _exploded(message: str) -> None:
    raise AssertionError(message)


def _pickles() -> list[Kind]:
    """Extension types whose values or whose description some reader would unpickle."""

    def tagged(name: str, storage: pa.DataType, value: Any, description: bytes) -> Callable[[], pa.Table]:
        tags = {b"ARROW:extension:name": name.encode(), b"ARROW:extension:metadata": description}
        content = pa.array([value] * 60, storage)
        return lambda: table(60, 1).append_column(pa.field("extra", storage, metadata=tags), content)

    rule = "column 'extra' is of the extension type .* its values are Python pickles"
    bomb = pickle.dumps(_Bomb())
    return [
        Kind(
            "pickled objects of Ray",
            from_table(tagged("ray.data.arrow_pickled_object", pa.large_binary(), bomb, b"")),
            rule,
        ),
        Kind("pickled extension type", from_table(tagged("arrow.py_extension_type", pa.int64(), 1, bomb)), rule),
        Kind(
            "Ray tensors with a pickled description",
            from_table(tagged("ray.data.arrow_tensor_v2", pa.large_list(pa.float32()), [1.0], bomb)),
            "is a damaged Parquet file",
        ),
    ]
