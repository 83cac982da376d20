"""The schema of an output: that of its source with short vectors, and their origin in its metadata."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from jobs.outputs.output_format import STAMP


def short_field(field: pa.Field, arrow_type: pa.DataType) -> pa.Field:
    """The vector column of the output: of this type; name, nullability and metadata stay."""
    metadata = {key: value for key, value in (field.metadata or {}).items() if not key.startswith(b"ARROW:extension")}
    return pa.field(field.name, arrow_type, field.nullable, metadata or None)


def short_schema(schema: pa.Schema, column: str, arrow_type: pa.DataType, stamps: Mapping[str, str]) -> pa.Schema:
    """The schema of the output: short vectors in `column`, all else as it was, `stamps` added to the metadata."""
    index = schema.get_field_index(column)
    stamped = {STAMP + name.encode(): value.encode() for name, value in stamps.items()}
    shortened = schema.set(index, short_field(schema.field(index), arrow_type))
    return shortened.with_metadata({**(schema.metadata or {}), **stamped})
