"""The help of a command: every field with its meaning, type and default, read off the schema."""

from __future__ import annotations

import argparse
import json
from typing import Any

from jobs.config.fields import Field, Option, Schema, fields_of
from jobs.config.yaml_file import FieldPath

_METAVARS = {"string": "TEXT", "integer": "INTEGER", "number": "NUMBER", "boolean": "true|false"}


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
    groups: dict[FieldPath, Any] = {(): parser}
    flags: set[FieldPath] = set()
    fields = list(fields_of(schema))
    for field in fields:
        path, doc = field.path, field.doc
        if len(path) - (field.shape != "section") > 1:  # a section inside a section: it stands in several
            places = [other.path[0] for other in fields if other.path[1:] == path[1:]]
            path, doc = ("SECTION", *path[1:]), f"{doc} SECTION is one of {', '.join(places)}."
        if path in flags:
            continue
        flags.add(path)
        if field.shape == "section":
            title = ".".join(path) + (" (optional section)" if field.nullable else "")
            groups[path] = parser.add_argument_group(title, doc)
        else:
            name = f"--{'.'.join(path)}{'.NAME' * (field.shape == 'mapping')}"
            takes = "|".join([*map(_metavar, field.options), *(["null"] if field.nullable else [])])
            groups[path[:-1]].add_argument(name, metavar=takes, help=_meaning(field).replace("%", "%%"))
    return parser.format_help()


def _metavar(option: Option) -> str:
    """What one option takes, such as `INTEGER` or `auto`."""
    if "items" in option:
        return f"{_metavar(option['items'])},…"
    if "additionalProperties" in option:
        return _metavar(option["additionalProperties"])
    return "|".join(option.get("enum", ())) or str(option.get("const", _METAVARS[option["type"]]))


def _meaning(field: Field) -> str:
    if field.required or field.shape == "mapping":
        return field.doc + (" (required)" if field.required else "")
    default = json.dumps(field.default).strip('[]"')  # 16, 32 of a list
    return f"{field.doc} (default: {default or 'none'})"
