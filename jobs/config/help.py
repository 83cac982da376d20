"""The help of a command: every field with its meaning, type and default, read off the schema."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Iterable, Iterator
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import AfterValidator
from pydantic.fields import FieldInfo

from cluster.settings import WorkerRange
from jobs.config.fields import Schema, argument_of, fields_of, flag_of, section_schema
from jobs.config.sections import OneOf

_METAVARS = {
    str: "TEXT",
    int: "INTEGER",
    float: "NUMBER",
    bool: "true|false",
    NoneType: "null",
    WorkerRange: "MIN..MAX",
}


def help_text(program: str, schema: Schema) -> str:
    """The help as it is printed, wrapped to the terminal."""
    argument = argument_of(schema)
    words = f" {argument.rpartition('.')[2].upper()}" if argument else ""
    usage = f"usage: {program}{words} [CONFIG.yaml] [--section.field VALUE ...]\n"
    about = f"{schema.__doc__} Fields come from the YAML file; flags win over it. Lists are written 16,32,64."
    return "\n".join([usage, _wrapped(about), *_entries(dict(fields_of(schema)))]) + "\n"


def _entries(fields: dict[str, FieldInfo]) -> Iterator[str]:
    """Sections and fields in their order; at the end, once, those that stand inside several sections."""
    shared: dict[str, list[str]] = {}
    for name, field in fields.items():
        section, _, rest = name.partition(".")
        if "." in rest or (rest and section_schema(field)):
            shared.setdefault(rest, []).append(section)
        else:
            yield _entry(name, field)
    for rest, sections in shared.items():
        note = f" SECTION is one of {', '.join(sections)}."
        yield _entry(f"SECTION.{rest}", fields[f"{sections[0]}.{rest}"], note)


def _entry(name: str, field: FieldInfo, note: str = "") -> str:
    """A section with its meaning and a note, or a field with what it takes, its meaning and its default."""
    if section := section_schema(field):
        optional = " (optional section)" if NoneType in get_args(field.annotation) else ""
        return f"\n{name}{optional}:\n{_wrapped(f'{field.description or section.__doc__}{note}', 2)}\n"
    is_mapping = get_origin(field.annotation) is dict
    if field.is_required():
        note = " (required)"
    elif not is_mapping:
        default = json.dumps(field.default).strip('[]"')  # 16, 32 of a list
        note = f" (default: {default or 'none'})"
    flag = f"--{flag_of(name, field)}{'.NAME' if is_mapping else ''} {_values(field)}"
    return f"  {flag}\n{_wrapped(f'{field.description}{note}', 6)}"


def _values(field: FieldInfo) -> str:
    """What a field takes, such as `INTEGER|null`."""
    return _names(field.metadata) or _kind(field.annotation)


def _names(marks: Iterable[Any]) -> str:
    """The names that a field may have, where it must be one of some."""
    checks = (mark.func for mark in marks if isinstance(mark, AfterValidator))
    return next(("|".join(check.names) for check in checks if isinstance(check, OneOf)), "")


def _kind(annotation: Any) -> str:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return "|".join(parts)
    if origin is Annotated:
        return _names(parts[1:]) or _kind(parts[0])
    if origin is tuple:
        return f"{_kind(parts[0])},…"
    if origin is dict:
        return _kind(parts[1])
    return "|".join(map(_kind, parts)) if parts else _METAVARS[annotation]


def _wrapped(text: str, indent: int = 0) -> str:
    width, margin = shutil.get_terminal_size().columns, " " * indent
    return textwrap.fill(" ".join(text.split()), width, initial_indent=margin, subsequent_indent=margin)
