"""What is exported: the columns of an output version, what their vectors are, and how they are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

from adaptor.errors import InputError
from jobs.sources.ids import is_id_type

#: How an engine compares two vectors.
Comparison = Literal["cosine", "dot", "l2", "hamming"]


@dataclass(frozen=True, kw_only=True)
class VectorColumn:
    """A column of short vectors: numbers of them, and how they are stored."""

    name: str
    dim: int
    encoding: str


@dataclass(frozen=True, kw_only=True)
class Collection:
    """The rows as a target sees them. `schema` holds id, vectors and payload, in types that all files share."""

    name: str
    schema: pa.Schema
    id_column: str
    vectors: tuple[VectorColumn, ...]
    metric: str
    adaptor_id: str

    @property
    def vector(self) -> VectorColumn:
        """The column that is searched first."""
        return self.vectors[0]

    @property
    def rescore(self) -> VectorColumn | None:
        """The column that rescores what the first finds, if there is one."""
        return self.vectors[1] if len(self.vectors) > 1 else None

    @property
    def id_type(self) -> pa.DataType:
        """Arrow type of the ids."""
        return self.schema.field(self.id_column).type

    @property
    def payload(self) -> list[pa.Field]:
        """The columns that go along."""
        own = {self.id_column, *(column.name for column in self.vectors)}
        return [field for field in self.schema if field.name not in own]

    def comparison(self, column: VectorColumn) -> Comparison:
        """How the codes of a column are compared: bits by Hamming distance, uint8 by Euclidean (its offset of 128
        makes cosine and dot product meaningless), all others as the adaptor was fitted for."""
        if column.encoding == "binary":
            return "hamming"
        if column.encoding == "uint8":
            return "l2"
        kinds: Mapping[str, Comparison] = {"cosine": "cosine", "dot": "dot", "l2": "l2"}
        return kinds[self.metric]

    @property
    def stamp(self) -> dict[str, Any]:
        """What two exports into one collection must share."""
        return {
            "adaptor_id": self.adaptor_id,
            "metric": self.metric,
            "id_column": self.id_column,
            "vectors": {column.name: f"d{column.dim}-{column.encoding}" for column in self.vectors},
            "columns": {field.name: str(field.type) for field in (self.schema.field(self.id_column), *self.payload)},
        }


def describe_collection(
    name: str, description: Mapping[str, Any], schema: pa.Schema, payload: Sequence[str] | None
) -> Collection:
    """The collection of an output version with this description and schema; `payload` names the columns that go along,
    None all of them. Raises InputError when a column is missing, and for ids of an unknown type."""
    rescore, id_column = description.get("rescore"), str(description["id_column"])
    parts = [(description["vector_column"], description), *([(rescore["column"], rescore)] if rescore else [])]
    vectors = tuple(VectorColumn(name=column, dim=part["dim"], encoding=part["encoding"]) for column, part in parts)
    first = [id_column, *(column.name for column in vectors)]
    others = [column for column in schema.names if column not in first]
    wanted = others if payload is None else list(dict.fromkeys(payload))
    for column in (*first, *wanted):
        if column not in schema.names:
            raise InputError(f"the output has no column {column!r} (it has {', '.join(schema.names)}): check the name")
    if misplaced := [column for column in wanted if column in first]:
        raise InputError(f"destination.payload names {misplaced[0]!r}, which is the id or a vector: leave it out")
    id_type = plain_type(schema.field(id_column).type)
    if not is_id_type(id_type):
        raise InputError(f"ids in column {id_column!r} are of type {id_type}: they must be text, integers or UUIDs")
    fields = [pa.field(column, plain_type(schema.field(column).type), column != id_column) for column in first + wanted]
    return Collection(
        name=name,
        schema=pa.schema(fields),
        id_column=id_column,
        vectors=vectors,
        metric=str(description["metric"]),
        adaptor_id=str(description["adaptor_id"]),
    )


def plain_type(kind: pa.DataType) -> pa.DataType:
    """The type without what only tells how a file stores it: dictionaries, large offsets, views, names of elements."""
    if pa.types.is_dictionary(kind):
        return plain_type(kind.value_type)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(plain_type(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, plain_type(field.type)) for field in kind])
    return kind
