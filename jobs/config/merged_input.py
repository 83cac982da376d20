"""A configuration while it is put together: what the file and the flags give, and what is found to be wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jobs.config.fields import Field, Schema, fields_of
from jobs.config.messages import near, shown
from jobs.config.yaml_file import Entry, FieldPath, read

#: A flag: the dotted name of a field, and its text (None where none followed).
Flag = tuple[str, str | None]
_COMMAND_LINE = "command line"


class MergedInput:
    """All that was given, the fields that it may be for, and one line for every problem."""

    def __init__(self, schema: Schema, file: Path | None, flags: Iterable[Flag]) -> None:
        self.fields: dict[FieldPath, Field] = {field.path: field for field in fields_of(schema)}
        self.problems: list[str] = []
        # Required sections are there, so that each required field in them is missed.
        sections = [path for path, field in self.fields.items() if field.shape in ("section", "mapping")]
        self.entries = {path: Entry({}, "") for path in sections if self.fields[path].required}
        self.entries |= read(file, sections) if file is not None else {}
        # A section set to null goes first, so that its fields can be set again.
        for name, text in sorted(flags, key=lambda flag: flag[1] != "null"):
            problem = self._lay_over(name, text)
            self.problems += [f"--{name}: {problem} ({_COMMAND_LINE})"] if problem else []

    def _lay_over(self, name: str, text: str | None) -> str:
        """Put a flag over what stands there; returns what is wrong with it."""
        field = self._named(name)
        if field is None:
            return f"there is no such field{near(name, [field.name for field in self.fields.values()], '--')}"
        # Below a mapping the rest of the name is one key, dots and all.
        path = field.path if name == field.name else (*field.path, name.removeprefix(f"{field.name}."))
        if text is None:
            return f"needs a value, as in --{name} VALUE or --{name}=VALUE"
        if path in self.entries and self.entries[path].origin == _COMMAND_LINE:
            return "is given twice; keep one"
        for above in (path[:length] for length in range(1, len(path))):
            if above not in self.entries or self.entries[above].value is None:
                self.entries[above] = Entry({}, _COMMAND_LINE)
        self.entries = without(self.entries, path)
        self.entries[path] = Entry(None if text == "null" and field.nullable else text, _COMMAND_LINE)
        return ""

    def _named(self, name: str) -> Field | None:
        fields = self.fields.values()
        below = (field for field in fields if field.shape == "mapping" and name.startswith(f"{field.name}."))
        return next((field for field in fields if field.name == name), next(below, None))

    def nested(self, entries: Mapping[FieldPath, Entry]) -> dict[str, Any]:
        """The entries as the schema takes them: a list may be given as text, and a text of a mapping as list."""
        nested: dict[FieldPath, Any] = {(): {}}
        for path, entry in entries.items():
            value, field = entry.value, self.fields.get(path)
            if field is not None and field.shape == "list" and isinstance(value, str):
                items = value.strip().removeprefix("[").removesuffix("]").split(",")
                value = [item.strip() for item in items if item.strip()]
            elif field is None and isinstance(value, list):
                value = ",".join(map(str, value))
            section = nested.get(path[:-1])
            if isinstance(section, dict):  # what stands where a section should be is left to the schema to refuse
                section[path[-1]] = nested[path] = {} if value == {} else value
        values: dict[str, Any] = nested[()]
        return values

    def report(self, path: FieldPath, rule: str) -> None:
        """Note that the field at `path` breaks a rule; an empty path means the configuration as a whole."""
        name, entry = ".".join(path), self.entries.get(path, Entry({}, ""))
        value = "" if isinstance(entry.value, dict) else f"{';' if ',' in rule else ','} got {shown(name, entry.value)}"
        around = (path[:length] for length in range(len(path), 0, -1))
        origin = next((self.entries[section].origin for section in around if section in self.entries), "")
        self.problems.append((f"{name}: " if name else "") + rule + value + (f" ({origin})" if origin else ""))


def without(entries: Mapping[FieldPath, Entry], path: FieldPath) -> dict[FieldPath, Entry]:
    """The entries but for what is given at and below `path`."""
    return {inner: entry for inner, entry in entries.items() if inner[: len(path)] != path}
