"""The help of a command: every field with its meaning, type and default, read off the schema."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from jobs.config.fields import Field, Schema, fields_of
from jobs.config.yaml_file import FieldPath

_METAVARS = {str: "TEXT", int: "INTEGER", float: "NUMBER", bool: "true|false"}


def help_text(program: str, schema: Schema) -> str:
    """The help as it is printed, wrapped to the terminal."""
    summary = " ".join((schema.__doc__ or "").split())
    parser = argparse.ArgumentParser(
        prog=program,
        usage="%(prog)s [CONFIG.yaml] [--section.field VALUE ...]",
        description=f"{summary} Fields come from the YAML file; flags win over it. Lists are written 16,32,64.",
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=30),
        add_help=False,
    )
    sections: dict[str, Any] = {}
    optional = False
    fields = list(fields_of(schema))
    repeated = _repeated(fields)
    within = {path for paths in repeated.values() for path in paths}
    for field in fields:
        if any(field.path[: len(path)] == path for path in within):
            continue
        if field.shape == "section":
            if len(field.path) == 1:
                optional = field.nullable
                title = field.name + (" (optional section)" if optional else "")
                sections[field.path[0]] = parser.add_argument_group(title, _escape(field.doc))
            continue
        _add(sections.get(field.path[0], parser), field, optional)
    for model, paths in repeated.items():
        name = f"SECTION.{paths[0][-1]}"
        where = ", ".join(".".join(path[:-1]) for path in paths)
        about = " ".join((model.__doc__ or "").split())
        group = parser.add_argument_group(name, _escape(f"{about} SECTION is one of {where}."))
        for field in fields_of(model):
            _add(group, replace(field, path=(*name.split("."), *field.path)), optional_section=False)
    return parser.format_help()


def _repeated(fields: Sequence[Field]) -> dict[Schema, list[FieldPath]]:
    """Models of sections inside of sections that stand in several places under one name: the help lists them once."""
    places: dict[tuple[Any, str], list[FieldPath]] = {}
    for field in fields:
        if field.shape == "section" and len(field.path) > 1:
            places.setdefault((field.kind, field.path[-1]), []).append(field.path)
    return {model: paths for (model, _), paths in places.items() if len(paths) > 1}


def _add(group: Any, field: Field, optional_section: bool) -> None:
    name = field.name + (".NAME" if field.shape == "mapping" else "")
    group.add_argument(f"--{name}", metavar=_metavar(field), help=_escape(_meaning(field, optional_section)))


def _metavar(field: Field) -> str:
    """All that the field takes, such as `INTEGER|auto|null`."""
    word = _METAVARS.get(field.kind or str, "VALUE") + (",…" if field.shape == "list" else "")
    return "|".join([*(field.choices or (word,)), *field.words, *(["null"] if field.nullable else [])])


def _meaning(field: Field, optional_section: bool) -> str:
    if field.required:
        return f"{field.doc} (required{' with this section' if optional_section else ''})"
    if field.shape == "mapping":
        return field.doc
    default = field.default
    if isinstance(default, bool):
        text = str(default).lower()
    elif default is None:
        text = "null"
    else:
        text = ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
    return f"{field.doc} (default: {text or 'none'})"


def _escape(text: str) -> str:
    return text.replace("%", "%%")
