"""Payload as JSON values, for engines that keep JSON: nested columns as they are, decimals as text, bytes as base64,
times as ISO 8601, maps as objects, UUIDs as text; NaN and infinity, which JSON has not, as null."""

from __future__ import annotations

import base64
import datetime
import math
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from adaptor.errors import InputError
from jobs.export.collection import Collection
from jobs.export.rows import Rows


def json_rows(rows: Rows, fields: Iterable[pa.Field]) -> list[dict[str, Any]]:
    """The payload of each row; nulls are left out."""
    objects: list[dict[str, Any]] = [{} for _ in range(len(rows))]
    for field in fields:
        convert = _plain if _is_plain(field.type) else json_value
        try:
            values = python_values(rows.table.column(field.name))
        except UnreadableValue as problem:
            raise rows.refused(problem.row, field.name, problem.rule) from problem
        for told, value in zip(objects, values, strict=True):
            if value is not None:
                told[field.name] = convert(value)
    return objects


class UnreadableValue(ValueError):
    """A value that Python cannot hold, or the target cannot: its row in the batch, and what is wrong with it."""

    def __init__(self, row: int, rule: str) -> None:
        super().__init__(f"row {row} {rule}")
        self.row, self.rule = row, rule


def python_values(column: pa.Array) -> list[Any]:
    """A column as Python values, maps as dicts. Raises UnreadableValue for text that is no UTF-8, a map with a key
    twice, and a time beyond the year 9999."""
    try:
        values: list[Any] = column.to_pylist(maps_as_pydicts="strict")
        return values
    except (ValueError, KeyError, OverflowError):
        for row, value in enumerate(column):
            try:
                value.as_py(maps_as_pydicts="strict")
            except UnicodeDecodeError as problem:
                raise UnreadableValue(row, "holds text that is not UTF-8") from problem
            except (ValueError, KeyError, OverflowError) as problem:
                raise UnreadableValue(row, f"holds a value that cannot be read ({problem})") from problem
        raise


def json_value(value: Any) -> Any:
    """One value of Arrow's `to_pylist` as what JSON can hold."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Mapping):
        return {_key(name): json_value(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(inner) for inner in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    return str(value)


def check_json_payload(collection: Collection) -> None:
    """InputError for a payload column that has no form in JSON."""
    for field in collection.payload:
        if not _has_json(field.type):
            raise InputError(
                f"column {field.name!r} is of type {field.type}, which JSON cannot hold: leave it out "
                "(destination.payload)"
            )


def _plain(value: Any) -> Any:
    return value


def _is_plain(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind))


def _key(name: Any) -> str:
    if isinstance(name, bool):
        return str(name).lower()
    return name if isinstance(name, str) else str(json_value(name))


def _has_json(kind: pa.DataType) -> bool:
    if isinstance(kind, pa.BaseExtensionType):
        return isinstance(kind, pa.UuidType) or _has_json(kind.storage_type)
    if pa.types.is_map(kind):
        return not pa.types.is_nested(kind.key_type) and _has_json(kind.item_type)
    if pa.types.is_nested(kind):
        inner = [kind.field(index).type for index in range(kind.num_fields)]
        return not pa.types.is_union(kind) and all(map(_has_json, inner))
    return not pa.types.is_interval(kind)
