"""The fields of a command's schema as a list: what the help shows, what a flag may name and how its text is read."""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from jobs.config.yaml_file import FieldPath

Schema = type[BaseModel]
#: How a field is written: one value, a list of values, names with values, or a section of further fields.
Shape = Literal["value", "list", "mapping", "section"]


@dataclass(frozen=True)
class Field:
    """One field or section of a schema."""

    path: FieldPath
    shape: Shape
    kind: type[Any] | None
    """Type of the value, or of a list's or a mapping's items, or a section's model; None where the choices say all."""
    choices: tuple[str, ...]
    words: tuple[str, ...]
    """What it takes beside values of its kind, such as `auto`; null stands in `nullable`."""
    nullable: bool
    required: bool
    default: Any
    doc: str

    @property
    def name(self) -> str:
        """Dotted path, as in a flag."""
        return ".".join(self.path)


def fields_of(schema: Schema, above: FieldPath = ()) -> Iterator[Field]:
    """Every section and field, in the schema's order, a section before its fields."""
    for name, info in schema.model_fields.items():
        kinds = [kind for kind in _alternatives(info.annotation) if kind is not types.NoneType]
        kind = kinds[0]
        inner = kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None
        path = (*above, name)
        yield Field(
            path=path,
            shape="section" if inner else _shape(kind),
            kind=_kind(kind),
            choices=_choices(kind),
            words=tuple(word for other in kinds[1:] for word in _choices(other)),
            nullable=len(kinds) < len(list(_alternatives(info.annotation))),
            required=info.is_required(),
            default=_default(info),
            doc=" ".join((info.description or "").split()),
        )
        if inner:
            yield from fields_of(inner, path)


def read_text(field: Field, text: str) -> Any:
    """A flag's text as the schema takes it: lists are split, `null` is None where it may be, the rest stays text."""
    if field.nullable and text == "null":
        return None
    if field.shape == "list":
        inner = text.strip().removeprefix("[").removesuffix("]")
        return [item.strip() for item in inner.split(",") if item.strip()]
    return text


def _alternatives(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) is Annotated:
        yield from _alternatives(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, types.UnionType):
        for option in get_args(annotation):
            yield from _alternatives(option)
    else:
        yield annotation


def _shape(kind: Any) -> Shape:
    return {tuple: "list", dict: "mapping"}.get(get_origin(kind), "value")  # type: ignore[return-value]


def _choices(kind: Any) -> tuple[str, ...]:
    return tuple(str(choice) for choice in get_args(kind)) if get_origin(kind) is Literal else ()


def _kind(kind: Any) -> type[Any] | None:
    if get_origin(kind) in (tuple, dict):
        kind = next(_alternatives(get_args(kind)[-1 if get_origin(kind) is dict else 0]))
    return kind if isinstance(kind, type) else None


def _default(info: FieldInfo) -> Any:
    default = info.get_default(call_default_factory=True) if not info.is_required() else None
    return None if default is PydanticUndefined else default
