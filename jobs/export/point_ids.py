"""Ids of engines that take numbers and UUIDs only."""

from __future__ import annotations

from uuid import UUID, uuid5

import pyarrow as pa

from jobs.export.rows import Rows

#: Of all ids that are neither: part of the format, never to be changed.
NAMESPACE = UUID("7b0d7f9c-6a1d-5f0e-9d8b-5a3f0c5b1e42")
_MOST = 1 << 64


def point_ids(rows: Rows) -> list[int | str]:
    """Unsigned numbers of 64 bits and UUIDs as they are, and texts that are UUIDs in lower case; for all others a UUID
    made from the text, always the same one."""
    if pa.types.is_integer(rows.ids.type):
        return [number if 0 <= number < _MOST else point_uuid(str(number)) for number in rows.ids.to_pylist()]
    return [point_uuid(text) for text in rows.texts]


def point_uuid(text: str) -> str:
    """The UUID of an id."""
    try:
        if str(UUID(text)) == text:
            return text
    except ValueError:
        pass
    return str(uuid5(NAMESPACE, text))
