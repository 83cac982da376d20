"""Notes about the schema that other programs leave in a file's metadata, and read before the columns: they must agree
with the columns, or go."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa

from jobs.sources.struct_paths import is_list

_SPARK = b"org.apache.spark.sql.parquet.row.metadata"
#: Notes that say every type, and that no reader needs.
_DROPPED = (b"iceberg.schema", b"parquet.avro.schema", b"avro.schema")
_SPARK_TYPES = {
    pa.string(): "string",
    pa.large_string(): "string",
    pa.bool_(): "boolean",
    pa.int8(): "byte",
    pa.int16(): "short",
    pa.int32(): "integer",
    pa.int64(): "long",
    pa.float32(): "float",
    pa.float64(): "double",
}
#: Arrow types that Spark has none for.
_UNKNOWN_TO_SPARK = {pa.float16(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()}


class _DisagreesError(Exception):
    """A note cannot be made to agree."""


def agreeing(schema: pa.Schema) -> pa.Schema:
    """The schema with notes of Spark, pandas and Hugging Face corrected to what its columns are; without those that
    cannot be, and without those of Iceberg and Avro."""
    metadata = dict(schema.metadata or {})
    for key in _DROPPED:
        metadata.pop(key, None)
    corrections: Mapping[bytes, Callable[[Any, pa.Schema], None]] = {
        _SPARK: _correct_spark,
        b"pandas": _correct_pandas,
        b"huggingface": _correct_huggingface,
    }
    for key, correct in corrections.items():
        if key in metadata:
            try:
                note = json.loads(metadata[key])
                correct(note, schema)
                metadata[key] = json.dumps(note).encode()
            except (_DisagreesError, ValueError, KeyError, TypeError, AttributeError):  # or it is no such note at all
                del metadata[key]
    return schema.with_metadata(metadata or None)


def _correct_spark(note: Any, schema: pa.Schema) -> None:
    if [field["name"] for field in note["fields"]] != schema.names:
        raise _DisagreesError
    for described, column in zip(note["fields"], schema, strict=True):
        described["type"] = _spark_type(described["type"], column.type)


def _spark_type(described: Any, kind: pa.DataType) -> Any:
    """What Spark's note must say of a column of this Arrow type, which it describes so now."""
    if kind in _UNKNOWN_TO_SPARK:
        raise _DisagreesError
    if is_list(kind):
        is_array = isinstance(described, dict) and described.get("type") == "array"
        array = described if is_array else {"type": "array", "elementType": "", "containsNull": True}
        return {**array, "elementType": _spark_type(array["elementType"], kind.value_type)}
    if pa.types.is_fixed_size_binary(kind):
        return "binary"
    known = _SPARK_TYPES.get(kind)
    if known is not None and (isinstance(described, str) or described.get("type") == "array"):
        return described if known == "string" and str(described).startswith(("char", "varchar")) else known
    return described


def _correct_pandas(note: Any, schema: pa.Schema) -> None:
    index = {name for name in note["index_columns"] if isinstance(name, str)}
    if not index <= set(schema.names):
        raise _DisagreesError
    note["columns"] = [column for column in note["columns"] if column["field_name"] in schema.names]
    for column in note["columns"]:
        kind = schema.field(column["field_name"]).type
        if is_list(kind):
            column |= {"pandas_type": f"list[{_name(kind.value_type)}]", "numpy_type": "object", "metadata": None}
        elif pa.types.is_fixed_size_binary(kind):
            column |= {"pandas_type": "bytes", "numpy_type": "object", "metadata": None}
        elif pa.types.is_string(kind) and column["numpy_type"] not in ("object", "str", "string"):
            column |= {"pandas_type": "unicode", "numpy_type": "object", "metadata": None}


def _correct_huggingface(note: Any, schema: pa.Schema) -> None:
    features = note["info"]["features"]
    if set(features) != set(schema.names):
        raise _DisagreesError
    for column in schema:
        feature = features[column.name]
        if pa.types.is_fixed_size_binary(column.type):
            features[column.name] = {"dtype": "binary", "_type": "Value"}
        if not is_list(column.type):
            continue
        if not isinstance(feature, dict) or not isinstance(feature.get("feature"), dict):
            raise _DisagreesError
        inner = feature["feature"]
        if inner.get("_type") != "Value":
            if pa.types.is_nested(column.type.value_type):  # lists of lists are payload, which is as it was
                continue
            raise _DisagreesError
        fixed = pa.types.is_fixed_size_list(column.type)
        feature["length"] = column.type.list_size if fixed else -1
        inner["dtype"] = _name(column.type.value_type)


def _name(kind: pa.DataType) -> str:
    """The name that pandas and Hugging Face give a type of numbers."""
    return {"float": "float32", "double": "float64", "halffloat": "float16"}.get(str(kind), str(kind))
