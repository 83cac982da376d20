"""Rows as Milvus takes them, by its client and in its bulk files."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from jobs.export.collection import Collection
from jobs.export.json_values import json_rows
from jobs.export.rows import Rows

METRICS = {"cosine": "COSINE", "dot": "IP", "l2": "L2", "hamming": "HAMMING"}
#: Most bytes of a text, and of the dynamic field of a row.
MOST_BYTES = 65_535


def has_number_ids(kind: pa.DataType) -> bool:
    """Whether ids of this type are INT64; all others are VARCHAR."""
    return bool(pa.types.is_integer(kind))


def milvus_ids(rows: Rows) -> list[Any]:
    """Ids as numbers or text. Raises InputError for a number that INT64 cannot hold."""
    if not has_number_ids(rows.ids.type):
        return rows.texts
    numbers: list[int] = rows.ids.to_pylist()
    for row, number in enumerate(numbers):
        if number >= 1 << 63:
            raise rows.refused(row, rows.id_column, f"holds {number}, more than Milvus's INT64 can")
    return numbers


def milvus_payload(rows: Rows, collection: Collection) -> list[dict[str, Any]]:
    """The dynamic field of each row. Raises InputError for what is too large for it."""
    records = json_rows(rows, collection.payload)
    for row, payload in enumerate(records):
        if (size := len(json.dumps(payload, ensure_ascii=False).encode())) > MOST_BYTES:
            name = max(payload, key=lambda key: len(str(payload[key])))
            raise rows.refused(row, name, f"makes a payload of {size:,} bytes; Milvus takes {MOST_BYTES:,} a row")
    return records
