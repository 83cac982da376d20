"""A configuration while it is put together: the file's values, the flags laid over them, the problems found so far."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from jobs.config import messages as wording
from jobs.config.fields import Field, Schema, fields_of, read_text
from jobs.config.yaml_file import FieldPath, YamlFile

#: A flag: the dotted name of a field, and its text (None where none followed).
Flag = tuple[str, str | None]


class MergedInput:
    """Values by section, the fields they may name, and one line for every problem."""

    def __init__(self, schema: Schema, file: YamlFile) -> None:
        self.fields: dict[FieldPath, Field] = {entry.path: entry for entry in fields_of(schema)}
        self.file = file
        self.values: dict[str, Any] = copy.deepcopy(file.values)
        self.problems: list[str] = []
        self._flagged: set[FieldPath] = set()
        for path, line, first in file.duplicates:
            where = f"{file.name}, lines {first} and {line}"
            self.problems.append(f"{'.'.join(path)}: stands twice; keep one ({where})")
        self._settle_types()

    def report(self, path: FieldPath, rule: str) -> None:
        """Note that the field at `path` breaks a rule; an empty path means the configuration as a whole."""
        value, here = get(self.values, path)
        comma = ";" if "," in rule else ","
        found = f"{comma} got {wording.shown('.'.join(path), value)}" if here and not isinstance(value, dict) else ""
        origin = self._origin(path)
        self.problems.append(
            (f"{'.'.join(path)}: " if path else "") + rule + found + (f" ({origin})" if origin else "")
        )

    def _origin(self, path: FieldPath) -> str:
        if not path:
            return ""
        if path in self._flagged:
            return "command line"
        from_flags = any(flag[: len(path)] == path for flag in self._flagged)
        line = self.file.lines.get(path) if from_flags else self.file.line(path)
        places = [f"{self.file.name}, line {line}"] if line else []
        return " and ".join(places + ["command line"] * from_flags)

    def _settle_types(self) -> None:
        """Undo what YAML read into values: the numbers of a text mapping are text, and `true` is not the number 1."""
        for path, entry in self.fields.items():
            value, here = get(self.values, path)
            if entry.shape == "mapping" and isinstance(value, dict):
                value.update({name: _as_text(item) for name, item in value.items()})
            if here and isinstance(value, bool) and entry.kind in (int, float):
                self.report(path, "must be a number")
                remove(self.values, path)

    def lay_over(self, flags: Iterable[Flag]) -> None:
        """Put flags over the file's values. A section set to null goes first, so that its fields can be set again."""
        for name, text in sorted(flags, key=lambda flag: flag[1] != "null"):
            entry, path = self._named(name)
            if entry is None:
                names = [field.name for field in self.fields.values()]
                problem = f"there is no such field{wording.near(name, names, '--')}"
            elif text is None:
                problem = f"needs a value, as in --{name} VALUE or --{name}=VALUE"
            elif path in self._flagged:
                problem = "is given twice; keep one"
            elif _has_fields(entry, path) and not (entry.nullable and text == "null"):
                problem = f"holds further fields; name one, as in --{name}.NAME VALUE"
            else:
                self._flagged.add(path)
                put(self.values, path, read_text(entry, text))
                continue
            self.problems.append(f"--{name}: {problem} (command line)")

    def _named(self, name: str) -> tuple[Field | None, FieldPath]:
        """The field that a flag names, and where its value goes: below a mapping the rest is one key, dots and all."""
        parts = tuple(name.split("."))
        for length in range(1, len(parts)):
            entry = self.fields.get(parts[:length])
            if entry is not None and entry.shape == "mapping":
                return entry, (*parts[:length], ".".join(parts[length:]))
        return self.fields.get(parts), parts

    def open_sections(self) -> None:
        """Give required sections that are absent no fields, so that each required field in them is reported."""
        for path, entry in self.fields.items():
            if entry.shape == "section" and entry.required and not get(self.values, path)[1]:
                put(self.values, path, {})


def get(values: Any, path: FieldPath) -> tuple[Any, bool]:
    """The value at `path`, and whether there is one."""
    for name in path:
        if not isinstance(values, Mapping) or name not in values:
            return None, False
        values = values[name]
    return values, True


def remove(values: Any, path: FieldPath) -> bool:
    """Take the value at `path` out; False when there is none."""
    if not path or not get(values, path)[1]:
        return False
    del get(values, path[:-1])[0][path[-1]]
    return True


def _has_fields(entry: Field, path: FieldPath) -> bool:
    return entry.shape == "section" or (entry.shape == "mapping" and path == entry.path)


def put(values: dict[str, Any], path: FieldPath, value: Any) -> None:
    """Set the value at `path`; absent sections are made, one that is no mapping is left for the schema to refuse."""
    above: Any = values
    for name in path[:-1]:
        if above.get(name) is None:
            above[name] = {}
        above = above[name]
        if not isinstance(above, dict):
            return
    above[path[-1]] = value


def _as_text(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list) and all(isinstance(item, str | int | float) for item in value):
        return ",".join(str(_as_text(item)) for item in value)
    return str(value) if isinstance(value, int | float) else value
