"""The help of a command: every field with its meaning, type and default, read off the schema."""

from __future__ import annotations

import argparse
from typing import Any

from jobs.config.fields import Field, Schema, fields_of

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
    for field in fields_of(schema):
        if field.shape == "section":
            if len(field.path) == 1:
                optional = field.nullable
                title = field.name + (" (optional section)" if optional else "")
                sections[field.path[0]] = parser.add_argument_group(title, _escape(field.doc))
            continue
        name = field.name + (".NAME" if field.shape == "mapping" else "")
        group = sections.get(field.path[0], parser)
        group.add_argument(f"--{name}", metavar=_metavar(field), help=_escape(_meaning(field, optional)))
    return parser.format_help()


def _metavar(field: Field) -> str:
    if field.choices:
        return "|".join(field.choices)
    word = _METAVARS.get(field.kind or str, "VALUE")
    return f"{word},…" if field.shape == "list" else word


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
