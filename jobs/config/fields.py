"""The fields of a command's schema as a list: what the help shows, and what a file and flags may name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel

from jobs.config.yaml_file import FieldPath

Schema = type[BaseModel]
#: What a field takes, as JSON schema says it.
Option = Mapping[str, Any]
Shape = Literal["value", "list", "mapping", "section"]


@dataclass(frozen=True)
class Field:
    """One field or section of a schema."""

    path: FieldPath
    shape: Shape
    """A mapping has names of the user's own, a section further fields of the schema."""
    options: tuple[Option, ...]
    """What it takes, null aside."""
    nullable: bool
    required: bool
    default: Any
    doc: str

    @property
    def name(self) -> str:
        """Dotted path, as in a flag."""
        return ".".join(self.path)


def fields_of(schema: Schema) -> Iterator[Field]:
    """Every section and field, in the schema's order, a section before its fields."""
    document = schema.model_json_schema()
    yield from _below((), document, document.get("$defs", {}))


def _below(above: FieldPath, model: Option, models: Mapping[str, Option]) -> Iterator[Field]:
    for name, info in model["properties"].items():
        options = [models[o["$ref"].rpartition("/")[2]] if "$ref" in o else o for o in info.get("anyOf", [info])]
        taken = tuple(option for option in options if option.get("type") != "null")
        field = Field(
            path=(*above, name),
            shape=_shape(taken[0]),
            options=taken,
            nullable=len(taken) < len(options),
            required=name in model.get("required", ()),
            default=info.get("default"),
            doc=" ".join((info.get("description") or taken[0].get("description", "")).split()),
        )
        yield field
        if field.shape == "section":
            yield from _below(field.path, taken[0], models)


def _shape(option: Option) -> Shape:
    if option["type"] == "object":
        return "section" if "properties" in option else "mapping"
    return "list" if option["type"] == "array" else "value"
