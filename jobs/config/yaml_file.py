"""A configuration file as flat entries: the text that each field is given, and the line where it stands."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, MappingNode, ScalarNode
from ruamel.yaml.constructor import ConstructorError, SafeConstructor
from ruamel.yaml.error import YAMLError

from adaptor.errors import InputError

SIZE_LIMIT_BYTES = 1 << 20
_DEPTH_LIMIT = 50
#: Where a field is: the names of the sections around it and its own.
FieldPath = tuple[str, ...]


@dataclass(frozen=True)
class Entry:
    """What was given for a field, or an empty mapping for a section; and where: `file, line N` or `command line`."""

    value: Any
    origin: str


class _TextConstructor(SafeConstructor):
    """Text, null, lists and mappings: the schema reads numbers and the like from text, as it does those of flags."""


for _kind in ("bool", "int", "float", "timestamp"):
    _TextConstructor.add_constructor(f"tag:yaml.org,2002:{_kind}", SafeConstructor.construct_yaml_str)


def read(path: Path, sections: Collection[FieldPath]) -> dict[FieldPath, Entry]:
    """Read one configuration file. Each key of the `sections` is an entry, which stands after that of its section.

    Raises InputError when it is absent, too large, not YAML or not a mapping, and when a key stands twice.
    """
    try:
        with path.open("rb") as file:
            content = file.read(SIZE_LIMIT_BYTES + 1)
    except OSError as problem:
        raise InputError(f"{path} cannot be read: {problem.strerror}; give the path of a YAML file") from problem
    if len(content) > SIZE_LIMIT_BYTES:
        raise InputError(f"{path} is larger than {SIZE_LIMIT_BYTES:,} bytes: that is not a configuration file")
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _TextConstructor
    yaml.max_depth = _DEPTH_LIMIT
    yaml.composer.warn_double_anchors = False
    try:
        root = yaml.compose(BytesIO(content))
        if not isinstance(root, MappingNode | None):
            raise InputError(f"{path} must hold sections such as `source:`, but it holds a list or a single value")
        entries = _entries(yaml, root, (), sections) if root else ()
        return {field: Entry(value, f"{path}, line {line}") for field, value, line in entries}
    except YAMLError as problem:
        told = " ".join(str(problem).replace('"<file>", ', "").split())
        raise InputError(f"{path} is not valid YAML: {told}") from problem


def _entries(
    yaml: YAML, section: MappingNode, above: FieldPath, sections: Collection[FieldPath]
) -> Iterator[tuple[FieldPath, Any, int]]:
    """Path, value and line of each key."""
    lines: dict[str, int] = {}
    for key, value in section.value:
        name, line = str(key.value), key.start_mark.line + 1
        if not isinstance(key, ScalarNode):
            raise ConstructorError(problem="a key must be a word", problem_mark=key.start_mark)
        if name in lines:
            told = f"{'.'.join((*above, name))} stands twice, first in line {lines[name]}; keep one"
            raise ConstructorError(problem=told, problem_mark=key.start_mark)
        lines[name] = line
        if isinstance(value, MappingNode) and (*above, name) in sections:
            yield (*above, name), {}, line
            yield from _entries(yaml, value, (*above, name), sections)
        else:
            yield (*above, name), yaml.constructor.construct_object(value, deep=True), line
