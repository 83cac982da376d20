"""Payload for engines without nested values: texts, numbers and truth values as they are, lists of texts too; all else
as JSON text. NaN, infinity and nulls are left out."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from jobs.export.collection import Collection
from jobs.export.json_values import json_rows
from jobs.export.rows import Rows


def flat_rows(rows: Rows, collection: Collection, is_native: Callable[[pa.DataType], bool]) -> list[dict[str, Any]]:
    """The payload of each row. Columns of types that are not native become text: nested ones as JSON."""
    objects = json_rows(rows, collection.payload)
    for field in collection.payload:
        native = is_native(field.type)
        for told in objects:
            value = told.get(field.name)
            if value is None:
                told.pop(field.name, None)
            elif not native and not isinstance(value, str):
                told[field.name] = json.dumps(value, ensure_ascii=False)
    return objects
