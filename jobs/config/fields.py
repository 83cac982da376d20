"""The names that a file and flags may use: the sections and fields of a command's schema."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

Schema = type[BaseModel]
#: Where a field is: the names of the sections around it and its own.
FieldPath = tuple[str, ...]


def fields_of(schema: Schema, section: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every section and field by its dotted name, in the schema's order, a section before its fields."""
    for name, field in schema.model_fields.items():
        yield f"{section}{name}", field
        if inner := section_schema(field):
            yield from fields_of(inner, f"{section}{name}.")


def section_schema(field: FieldInfo) -> Schema | None:
    """The schema of a section, which may be optional; None of a field that holds a value."""
    kinds = get_args(field.annotation) or (field.annotation,)
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def flag_of(name: str, field: FieldInfo) -> str:
    """How a field is spelled on the command line: by its name, unless it says another."""
    extra = field.json_schema_extra
    return str(extra["flag"]) if isinstance(extra, dict) and "flag" in extra else name


def argument_of(schema: Schema) -> str | None:
    """The field whose value stands behind the command's name, without a flag (`matryoshka versions list`)."""
    extras = ((name, field.json_schema_extra) for name, field in fields_of(schema))
    return next((name for name, extra in extras if isinstance(extra, dict) and extra.get("argument")), None)
