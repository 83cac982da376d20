"""A configuration file as plain data, with the line of every key and the keys that stand twice."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from adaptor.errors import InputError

SIZE_LIMIT_BYTES = 1 << 20
_DEPTH_LIMIT = 50
#: The place of a field: names of the sections and of the field itself.
FieldPath = tuple[str, ...]


@dataclass(frozen=True)
class YamlFile:
    """What a file holds."""

    name: str
    values: dict[str, Any] = field(default_factory=dict)
    lines: dict[FieldPath, int] = field(default_factory=dict)
    """Line of each key, counted from 1."""
    duplicates: tuple[tuple[FieldPath, int, int], ...] = ()
    """Path, line and first line of every key that stands twice."""

    def line(self, path: FieldPath) -> int | None:
        """Line of the field, or of the innermost section around it that stands in the file."""
        return next((self.lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in self.lines), None)


def read(path: Path) -> YamlFile:
    """Read one configuration file. Raises InputError when it is absent, too large, not YAML or not a mapping."""
    try:
        with path.open("rb") as file:
            content = file.read(SIZE_LIMIT_BYTES + 1)
    except OSError as problem:
        raise InputError(
            f"{path} cannot be read: {problem.strerror or problem}; give the path of a YAML file"
        ) from problem
    if len(content) > SIZE_LIMIT_BYTES:
        raise InputError(f"{path} is larger than {SIZE_LIMIT_BYTES:,} bytes: that is not a configuration file")
    try:
        loader = _Loader(content)
        root = loader.get_single_node()
        values = {} if root is None else loader.construct_document(root)
    except yaml.MarkedYAMLError as problem:
        raise InputError(f"{path} is not valid YAML: {_place(problem)}") from problem
    except yaml.YAMLError as problem:
        raise InputError(f"{path} is not valid YAML: {' '.join(str(problem).split())}") from problem
    if not isinstance(values, dict):
        found = "a list" if isinstance(values, list) else "a single value"
        raise InputError(f"{path} must hold sections such as `source:`, but it holds {found}")
    file_keys = _Keys()
    if root is not None:
        file_keys.walk(root, ())
    return YamlFile(str(path), values, file_keys.lines, tuple(file_keys.duplicates))


def _place(problem: yaml.MarkedYAMLError) -> str:
    mark = problem.problem_mark or problem.context_mark
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    context = problem.context
    if context and problem.context_mark:
        context += f" from line {problem.context_mark.line + 1} on:"
    return where + " ".join(text for text in (context, problem.problem) if text)


class _Keys:
    """Where the keys of nested mappings stand, and which stand twice. A node that aliases repeat is walked once."""

    def __init__(self) -> None:
        self.lines: dict[FieldPath, int] = {}
        self.duplicates: list[tuple[FieldPath, int, int]] = []
        self._seen: set[int] = set()

    def walk(self, node: yaml.Node, place: FieldPath) -> None:
        """Note the keys of `node`, which stands at `place`."""
        if not isinstance(node, yaml.MappingNode) or id(node) in self._seen:
            return
        self._seen.add(id(node))
        for key, value in node.value:
            inner, line = (*place, str(key.value)), key.start_mark.line + 1
            if inner in self.lines:
                self.duplicates.append((inner, line, self.lines[inner]))
                continue
            self.lines[inner] = line
            self.walk(value, inner)


class _Loader(yaml.SafeLoader):
    """Safe YAML with the plain scalars of YAML 1.2: `no` and `2024-01-01` are text, `1e-3` is a number."""

    yaml_implicit_resolvers: dict[str, Any] = {}
    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """One node; far too deep nesting ends here and not in a stack overflow."""
        self._depth += 1
        if self._depth > _DEPTH_LIMIT:
            raise yaml.composer.ComposerError(problem="nested too deeply")
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node


def _resolve(tag: str, pattern: str, first: str) -> None:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{pattern})$"), list(first))


_NUMBER = "-+.0123456789"
_resolve("null", r"~|null|Null|NULL|", "~nN")
_Loader.yaml_implicit_resolvers[""] = _Loader.yaml_implicit_resolvers["~"]
_resolve("bool", r"true|True|TRUE|false|False|FALSE", "tTfF")
_resolve("int", r"[-+]?[0-9][0-9_]*", _NUMBER)
_resolve("float", r"[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan", _NUMBER)


def _integer(loader: _Loader, node: yaml.ScalarNode) -> int | str:
    text = str(loader.construct_scalar(node))
    # Python refuses to read endless digits; as text they are refused with the field's name.
    return int(text.replace("_", "")) if len(text) < 100 else text


def _float(loader: _Loader, node: yaml.ScalarNode) -> float:
    return float(str(loader.construct_scalar(node)).replace("_", "").replace(".inf", "inf").replace(".nan", "nan"))


_Loader.add_constructor("tag:yaml.org,2002:int", _integer)
_Loader.add_constructor("tag:yaml.org,2002:float", _float)
