"""The schema of an output: that of its source with short vectors, and their origin in its metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from adaptor.errors import InputError
from jobs.outputs.output_format import STAMP
from jobs.outputs.schema_notes import agreeing
from jobs.sources.struct_paths import is_list


def short_field(field: pa.Field, arrow_type: pa.DataType) -> pa.Field:
    """The vector column of the output: of this type; name, nullability and metadata stay, and those of the elements
    (Iceberg's field ids)."""
    metadata = {key: value for key, value in (field.metadata or {}).items() if not key.startswith(b"ARROW:extension")}
    return pa.field(field.name, _with_element_metadata(arrow_type, field.type), field.nullable, metadata or None)


def short_schema(schema: pa.Schema, vectors: Sequence[tuple[str, pa.DataType]], stamps: Mapping[str, str]) -> pa.Schema:
    """The schema of the output: short vectors in the first of `vectors`, all else as it was, then the other columns of
    `vectors`; `stamps` added to the metadata, whose notes about the schema agree with it.

    Raises InputError when the source has a column of such a name.
    """
    (column, arrow_type), *added = vectors
    index = schema.get_field_index(column)
    for name, _ in added:
        if name in schema.names:
            raise InputError(
                f"the source has a column {name!r} already, where output.rescore would write: set output.rescore.column"
            )
    stamped = {STAMP + name.encode(): value.encode() for name, value in stamps.items()}
    shortened = schema.set(index, short_field(schema.field(index), arrow_type))
    for name, added_type in added:
        shortened = shortened.append(pa.field(name, added_type, schema.field(index).nullable))
    shortened = agreeing(shortened)
    return shortened.with_metadata({**(shortened.metadata or {}), **stamped})


def _with_element_metadata(arrow_type: pa.DataType, source: pa.DataType) -> pa.DataType:
    source = source.storage_type if isinstance(source, pa.BaseExtensionType) else source
    if not (is_list(arrow_type) and is_list(source) and source.value_field.metadata):
        return arrow_type
    element = arrow_type.value_field.with_metadata(source.value_field.metadata)
    if pa.types.is_fixed_size_list(arrow_type):
        return pa.list_(element, arrow_type.list_size)
    return pa.large_list(element) if pa.types.is_large_list(arrow_type) else pa.list_(element)
