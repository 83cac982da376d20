"""Plain words for what is wrong with a configuration: one line per problem."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable
from typing import Any

from pydantic_core import ErrorDetails

from jobs.config.credential_redaction import SECRET_NAME, masked

#: By the type of pydantic's error, or by its first word.
_RULES = {
    "int": "must be a whole number",
    "float": "must be a number",
    "bool": "must be true or false",
    "string_type": "must be text (put it in quotes)",
    "string_pattern_mismatch": "must match {pattern}",
    "string_unicode": "must be UTF-8",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
    "tuple": "must be a list, such as [16, 32]",
    "dict": "must be names with values",
    "model": "must be a section of fields",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be one of: {expected}",
}
#: Shortens while it writes: a value may be huge.
_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = 80


def rule(error: ErrorDetails) -> str:
    """What the field must be, for one of pydantic's errors."""
    words = _RULES.get(error["type"]) or _RULES.get(error["type"].partition("_")[0])
    if words is None:
        return error["msg"].removeprefix("Value error, ").replace("Input should", "must")
    context = {name: str(value).removesuffix(".0") for name, value in error.get("ctx", {}).items()}
    return words.format_map(context).replace("' or '", ", ").replace("'", "")


def shown(name: str, value: Any) -> str:
    """A value as found, shortened; never one whose field is named like a secret."""
    if SECRET_NAME.search(name):
        return "a value that is not shown"
    if isinstance(value, list):
        value = [masked(item) if isinstance(item, str) else item for item in value]
    # Masked first: shortened, a login may not look like one any more.
    return "null" if value is None else masked(_REPR.repr(masked(value) if isinstance(value, str) else value))


def near(wrong: str, known: Iterable[str], lead: str = "") -> str:
    """` (did you mean …?)` for a misspelt name, or nothing. Dotted names are compared whole and by their last part."""
    whole = {name: name for name in known}
    by_last_part = {name.rsplit(".", 1)[-1]: name for name in reversed(whole)}
    for word, names in ((wrong, whole), (wrong.rsplit(".", 1)[-1], by_last_part)):
        for match in difflib.get_close_matches(word, names, n=1, cutoff=0.66):
            return f" (did you mean {lead}{names[match]}?)"
    return ""
