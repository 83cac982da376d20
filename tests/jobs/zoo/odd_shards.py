"""Unusual but valid: shapes, encodings, ids, vectors and payloads that go through as they are."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.jobs.compress.workplace import DIM, lists, table, vectors
from tests.jobs.zoo.kinds import (
    Kind,
    encoded,
    from_bytes,
    from_table,
    replaced,
    sound,
    with_number_count,
    with_row_count,
)


def odd_shards() -> list[Kind]:
    """All of them."""
    return [*_shapes(), *_encodings(), *_ids(), *_vectors(), *_payloads(), *_names()]


def _kind(name: str, content: Callable[[], pa.Table], **options: Any) -> Kind:
    return Kind(name, from_table(content, **options))


def _good(rows: int = 60) -> Callable[[], pa.Table]:
    return lambda: table(rows, 1)


def _shapes() -> list[Kind]:
    def groups(*sizes: int) -> Callable[[], bytes]:
        def content() -> bytes:
            rows, sink = table(max(1, sum(sizes)), 1), pa.BufferOutputStream()
            with pq.ParquetWriter(sink, rows.schema) as writer:
                for number, size in enumerate(sizes):
                    writer.write_table(rows.slice(sum(sizes[:number]), size))
            return bytes(sink.getvalue())

        return content

    def link(path: Path) -> None:
        target = path.with_name("_target")
        target.write_bytes(encoded(table(9, 1)))
        path.symlink_to(target)

    return [
        _kind("zero rows", lambda: table(1, 1).slice(0, 0)),
        Kind("zero row groups", from_bytes(groups())),
        Kind("empty row groups between others", from_bytes(groups(0, 7, 0, 0, 5, 0))),
        _kind("one row", _good(1)),
        _kind("row groups of one row", _good(), row_group_size=1),
        _kind("one row group of many rows", _good(20_000), row_group_size=20_000),
        Kind("link to a file", link),
        Kind("wrong first magic", from_bytes(lambda: b"PAX1" + sound()[4:])),
        Kind("footer that hides the last row", from_bytes(lambda: with_row_count(776))),
        Kind("footer that claims twice the numbers", from_bytes(lambda: with_number_count(777 * 24))),
        Kind("footer that claims more numbers than fit", from_bytes(lambda: with_number_count(777 << 30))),
        Kind("footer that claims absurdly many numbers", from_bytes(lambda: with_number_count(777 << 53))),
    ]


def _encodings() -> list[Kind]:
    spread = {"vector.list.element": "BYTE_STREAM_SPLIT", "id": "DELTA_BYTE_ARRAY"}
    codecs = ("none", "snappy", "gzip", "brotli", "lz4", "zstd")
    return [
        *(_kind(f"compressed with {codec}", _good(), compression=codec) for codec in codecs),
        _kind("pages of a few values", _good(), data_page_size=8, write_batch_size=1),
        _kind("data pages of version 2", _good(), data_page_version="2.0"),
        _kind("format version 1.0", _good(), version="1.0"),
        _kind("page checksums", _good(), write_page_checksum=True),
        _kind("page index", _good(), write_page_index=True),
        _kind("no statistics", _good(), write_statistics=False),
        _kind("no Arrow schema", _good(), store_schema=False),
        _kind("split bytes and deltas", _good(), use_dictionary=False, column_encoding=spread),
        _kind("dictionary of numbers", lambda: _repeated(), use_dictionary=True),
        _kind("old names of list elements", _good(), use_compliant_nested_type=False),
    ]


def _repeated() -> pa.Table:
    return replaced("vector", lambda: lists([vectors(1, 4)[0].tolist()] * 60))()


def _ids() -> list[Kind]:
    texts = [
        "",
        " ",
        "é",
        "e\u0301",
        "日本語",
        "👩‍👩‍👧",
        "ـعربي",
        "\u200b",
        "line\nbreak",
        "tab\t",
        "nul\0nul",
        "'\"\\",
        "NaN",
        "null",
    ]
    integers = (pa.int8(), pa.uint8(), pa.int16(), pa.int32(), pa.uint32(), pa.int64())
    odd = [*texts, *map(str, range(60 - len(texts)))]
    uuids = [uuid.UUID(int=row * 2**100 + row).bytes for row in range(60)]

    def ids(values: list[Any], kind: pa.DataType) -> Callable[[], pa.Table]:
        return replaced("id", lambda: pa.array(values, kind))

    return [
        _kind("unicode ids", ids(odd, pa.string())),
        _kind("large_string ids", ids(odd, pa.large_string())),
        _kind("string_view ids", ids(odd, pa.string_view())),
        _kind("dictionary ids", ids(odd, pa.dictionary(pa.int32(), pa.string()))),
        _kind("ids of a million characters", ids(["ä" * 10**6, "x" * 10**6, *map(str, range(58))], pa.string())),
        *(_kind(f"{kind} ids", ids([*range(60)], kind)) for kind in integers),
        _kind("uint64 ids at the end of the range", ids([2**64 - 1 - row for row in range(60)], pa.uint64())),
        _kind("negative ids", ids([-(2**63) + row for row in range(60)], pa.int64())),
        _kind("uuid ids", ids(uuids, pa.uuid())),
    ]


def _vectors() -> list[Kind]:
    numbers = vectors(60, 1)
    kinds = {
        "float16": np.float16,
        "float32": np.float32,
        "float64": np.float64,
    }
    layouts: dict[str, Callable[[pa.DataType], pa.DataType]] = {
        "list": pa.list_,
        "large_list": pa.large_list,
        "fixed_size_list": lambda kind: pa.list_(kind, DIM),
    }

    def column(layout: Callable[[pa.DataType], pa.DataType], kind: Any) -> Callable[[], pa.Array]:
        return lambda: pa.array(list(numbers.astype(kind)), layout(pa.from_numpy_dtype(kind)))

    def tensors() -> pa.Array:
        return pa.FixedShapeTensorArray.from_numpy_ndarray(numbers.reshape(60, DIM).copy())

    def extremes() -> pa.Array:
        rows = numbers.tolist()
        rows[0], rows[1] = [1e-40, *[0.0] * (DIM - 2), 1.0], [1.0, -1.0] * (DIM // 2)
        rows[2], rows[3] = [1e18] * DIM, [1e-18] * DIM
        return lists(rows)

    return [
        *(
            _kind(f"vectors as {layout} of {kind}", replaced("vector", column(make, dtype)))
            for layout, make in layouts.items()
            for kind, dtype in kinds.items()
        ),
        _kind("vectors as tensors", replaced("vector", tensors)),
        _kind("vectors of very different lengths", replaced("vector", extremes)),
    ]


def _payloads() -> list[Kind]:
    nested = pa.map_(pa.string(), pa.list_(pa.struct([("a", pa.list_(pa.int8())), ("b", pa.float32())])))
    payloads: dict[str, tuple[list[Any], pa.DataType]] = {
        "nested payload": ([[("k", [{"a": [1, None], "b": None}, None])], None, []] * 20, nested),
        "deeply nested payload": ([_deep(30)] * 60, _deep_type(30)),
        "payload of nulls": ([None] * 60, pa.null()),
        "payload with NaN and infinities": ([float("nan"), float("inf"), None] * 20, pa.float64()),
        "payload of times": ([datetime.datetime(1600, 1, 1), None] * 30, pa.timestamp("us", "Europe/Berlin")),
        "payload of durations": ([datetime.timedelta(days=-1)] * 60, pa.duration("ns")),
        "payload of decimals": ([Decimal(10) ** 37, None] * 30, pa.decimal256(76, 3)),
        "payload of binaries": ([b"\x00\xff", None, b""] * 20, pa.binary()),
        "payload of booleans": ([True, None, False] * 20, pa.bool_()),
        "payload of ten megabytes in a row": (["x" * 10**7, *[None] * 59], pa.string()),
        "dictionary payload": (["a", None, "b"] * 20, pa.dictionary(pa.int8(), pa.string())),
        "payload of uuids": ([uuid.UUID(int=5).bytes] * 60, pa.uuid()),
        "payload of JSON": (['{"a": 1}'] * 60, pa.json_()),
        "payload of tensors": ([[1.0, 2.0]] * 60, pa.fixed_shape_tensor(pa.float32(), [2])),
    }

    def column(values: list[Any], kind: pa.DataType) -> Callable[[], pa.Table]:
        storage = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind

        def array() -> pa.Array:
            plain = pa.array(values, storage)
            return pa.ExtensionArray.from_storage(kind, plain) if storage is not kind else plain

        return replaced("payload", array)

    def unknown_extension() -> pa.Table:
        tags = {b"ARROW:extension:name": b"acme.colour", b"ARROW:extension:metadata": b"\xff\x00"}
        content = table(60, 1)
        return content.append_column(pa.field("colour", pa.int32(), metadata=tags), pa.array(range(60), pa.int32()))

    def not_utf8() -> pa.Array:
        binary = pa.array([b"\xff\xfe", b"fine", None] * 20, pa.binary())
        return pa.Array.from_buffers(pa.string(), 60, binary.buffers())

    return [
        *(_kind(name, column(values, kind)) for name, (values, kind) in payloads.items()),
        _kind("payload text that is no UTF-8", replaced("payload", not_utf8)),
        _kind("payload of an unknown extension type", unknown_extension),
        _kind("payload of INT96 times", _int96([253_402_214_400_000_000, None]), use_deprecated_int96_timestamps=True),
        _kind("no payload", lambda: table(60, 1).select(["id", "vector"])),
        _kind("many payload columns", _many_columns),
    ]


def _int96(microseconds: list[int | None]) -> Callable[[], pa.Table]:
    return replaced("payload", lambda: pa.array(microseconds * 30, pa.timestamp("us")))


def _many_columns() -> pa.Table:
    content = table(60, 1)
    for number in range(300):
        content = content.append_column(f"column {number}", pa.array(range(60)))
    return content


def _names() -> list[Kind]:
    def renamed(*names: str) -> Callable[[], pa.Table]:
        def content() -> pa.Table:
            good = table(60, 1)
            for name in names:
                good = good.add_column(0, name, pa.array(range(60)))
            return good

        return content

    def tagged() -> pa.Table:
        tags = {b"matryoshka.adaptor_id": b"of another run", b"pandas": b"not JSON", b"\xff": b"\xff"}
        return table(60, 1).replace_schema_metadata(tags)

    return [
        _kind("two payload columns of one name", renamed("twice", "twice")),
        _kind("payload columns with odd names", renamed("", "a.b", "vector.x", "id.x", "ü", "new\nline", "ID")),
        _kind("columns named as those of the quarantine", renamed("reason", "row", "row_group", "row_")),
        _kind("columns in another order", lambda: table(60, 1).select(["price", "vector", "id", "payload"])),
        _kind("foreign schema metadata", tagged),
        Kind("späce & ünicode #%?+' name", from_table(_good())),
    ]


def _deep(levels: int) -> Any:
    return [_deep(levels - 1)] if levels else 1


def _deep_type(levels: int) -> pa.DataType:
    return pa.list_(_deep_type(levels - 1)) if levels else pa.int8()
