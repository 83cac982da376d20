"""A configuration file: its values as text, and the line where each of them stands."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, MappingNode, ScalarNode
from ruamel.yaml.constructor import ConstructorError, SafeConstructor
from ruamel.yaml.error import YAMLError

from adaptor.errors import InputError
from jobs.config.fields import FieldPath

SIZE_LIMIT_BYTES = 1 << 20
_DEPTH_LIMIT = 50


class _TextConstructor(SafeConstructor):
    """Text, null, lists and mappings: the schema reads numbers and the like from text, as it does those of flags."""

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[str, Any]:
        """A mapping of names, each of which stands once."""
        values: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                raise ConstructorError(problem="a key must be a word", problem_mark=key.start_mark)
            if key.value in values:
                raise ConstructorError(problem=f"{key.value} stands twice; keep one", problem_mark=key.start_mark)
            values[key.value] = self.construct_object(value, deep=True)
        return values


for _kind in ("bool", "int", "float", "timestamp"):
    _TextConstructor.add_constructor(f"tag:yaml.org,2002:{_kind}", SafeConstructor.construct_yaml_str)


def read(path: Path) -> tuple[dict[str, Any], MappingNode | None]:
    """The values of a configuration file, and its nodes, which know their lines.

    Raises InputError when it is absent, too large, not YAML or no mapping, and when a key stands twice.
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
        values = yaml.constructor.construct_object(root, deep=True) if root else {}
    except YAMLError as problem:
        reason = " ".join(str(problem).replace('"<file>", ', "").split())
        raise InputError(f"{path} is not valid YAML: {reason}") from problem
    if not isinstance(values, dict):
        raise InputError(f"{path} must hold sections such as `source:`, but it holds a list or a single value")
    return values, root


def line_of(root: MappingNode | None, field: FieldPath) -> int | None:
    """The line where a field or section stands, counted from 1; None when it is not in the file."""
    line, node = None, root
    for name in field:
        entries = node.value if isinstance(node, MappingNode) else []
        entry = next(((key, value) for key, value in entries if key.value == name), None)
        if entry is None:
            return None
        line, node = entry[0].start_mark.line + 1, entry[1]
    return line
