"""The schema of an output: that of its source with short vectors, and their origin in its metadata."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from jobs.outputs.output_format import STAMP
from jobs.outputs.schema_notes import agreeing
from jobs.sources.struct_paths import is_list


def short_field(field: pa.Field, arrow_type: pa.DataType) -> pa.Field:
    """The vector column of the output: of this type; name, nullability and metadata stay, and those of the elements
    (Iceberg's field ids)."""
    metadata = {key: value for key, value in (field.metadata or {}).items() if not key.startswith(b"ARROW:extension")}
    return pa.field(field.name, _with_element_metadata(arrow_type, field.type), field.nullable, metadata or None)


def short_schema(schema: pa.Schema, column: str, arrow_type: pa.DataType, stamps: Mapping[str, str]) -> pa.Schema:
    """The schema of the output: short vectors in `column`, all else as it was, `stamps` added to the metadata, whose
    notes about the schema agree with it."""
    index = schema.get_field_index(column)
    stamped = {STAMP + name.encode(): value.encode() for name, value in stamps.items()}
    shortened = agreeing(schema.set(index, short_field(schema.field(index), arrow_type)))
    return shortened.with_metadata({**(shortened.metadata or {}), **stamped})


def _with_element_metadata(arrow_type: pa.DataType, source: pa.DataType) -> pa.DataType:
    source = source.storage_type if isinstance(source, pa.BaseExtensionType) else source
    if not (is_list(arrow_type) and is_list(source) and source.value_field.metadata):
        return arrow_type
    element = arrow_type.value_field.with_metadata(source.value_field.metadata)
    if pa.types.is_fixed_size_list(arrow_type):
        return pa.list_(element, arrow_type.list_size)
    return pa.large_list(element) if pa.types.is_large_list(arrow_type) else pa.list_(element)
