"""A configuration file with the flags laid over it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin

from jobs.config.fields import FieldPath, Schema, fields_of, flag_of, section_schema
from jobs.config.messages import displayed
from jobs.config.yaml_file import line_of, read

#: A flag: the dotted name of a field, and its text (None where none followed).
Flag = tuple[str, str | None]


class MergedInput:
    """The merged `values`, the `fields` that may be named, and the `problems` of the flags, a line each."""

    def __init__(self, schema: Schema, file: Path | None, flags: Iterable[Flag]) -> None:
        """Raises InputError when the file cannot be used."""
        self.fields = dict(fields_of(schema))
        self.problems: list[str] = []
        self._flags: set[FieldPath] = set()
        self._names = {flag_of(name, field): name for name, field in self.fields.items()}
        self._file = file
        values, self._root = ({}, None) if file is None else read(file)
        # Required sections are always there, so that each required field in them is missed.
        required: dict[str, Any] = {name: {} for name, field in schema.model_fields.items() if field.is_required()}
        self.values = required | values
        for name, text in flags:
            self._lay_over(name, text)

    def _lay_over(self, name: str, text: str | None) -> None:
        path = self._flag_path(self._names.get(name, name))
        if text is None:
            self.problems.append(f"--{name}: needs a value, as in --{name} VALUE or --{name}=VALUE (command line)")
        elif path in self._flags:
            self.problems.append(f"--{name}: is given twice; keep one (command line)")
        else:
            self._flags.add(path)
            kind = self.fields[self._names[name]].annotation if name in self._names else str
            self.values = _replaced(self.values, path, _parsed(text, kind))

    def _flag_path(self, name: str) -> FieldPath:
        for section, field in reversed(self.fields.items()):  # the innermost first
            if name.startswith(f"{section}.") and (section_schema(field) or get_origin(field.annotation) is dict):
                return (*section.split("."), name.removeprefix(f"{section}."))  # one key, dots and all
        return (name,)

    def field_at(self, location: tuple[int | str, ...]) -> tuple[FieldPath, Any]:
        """Path and value of the field that pydantic finds fault with; what is inside a list belongs to the list."""
        path: FieldPath = ()
        value: Any = self.values
        for name in location:
            if not isinstance(value, dict) or name == "[key]":
                break
            path, value = (*path, str(name)), value.get(name, {})
        return path, value

    def problem(self, path: FieldPath, value: Any, rule: str) -> str:
        """One line: the field at `path` breaks a rule; an empty path means the configuration as a whole."""
        name, origin = ".".join(path), self._origin(path)
        got = "" if isinstance(value, dict) else f"{';' if ',' in rule else ','} got {displayed(name, value)}"
        return (f"{name}: " if name else "") + rule + got + (f" ({origin})" if origin else "")

    def _origin(self, path: FieldPath) -> str:
        """Where a field stands, or else the innermost section around it that was written."""
        for length in range(len(path), 0, -1):
            section = path[:length]
            if section not in self._flags and (line := line_of(self._root, section)):
                return f"{self._file}, line {line}"
            if any(flag[:length] == section for flag in self._flags):
                return "command line"
        return ""


def _parsed(text: str, kind: Any) -> Any:
    """What the text of a flag means for a field of this type: null, the items of a list, or itself."""
    if text == "null" and NoneType in get_args(kind):
        return None
    if "tuple[" not in str(kind):
        return text
    items = text.strip().removeprefix("[").removesuffix("]").split(",")
    return [item.strip() for item in items if item.strip()]


def _replaced(section: Any, path: FieldPath, value: Any) -> Any:
    """A copy of the section that has `value` at `path`; what is no section is left to the schema to refuse."""
    if not path:
        return value
    if section is None:
        section = {}
    if not isinstance(section, dict):
        return section
    return section | {path[0]: _replaced(section.get(path[0]), path[1:], value)}
