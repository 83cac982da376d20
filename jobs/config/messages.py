"""Plain words for what is wrong with a configuration: one line per problem."""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Collection
from typing import Any

from pydantic_core import ErrorDetails

from jobs.config.credential_redaction import masked

_WORDS = {
    "invalid_key": "there is no such field",
    "string_pattern_mismatch": "must match the pattern {pattern}",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number of reasonable size",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be text (put it in quotes)",
    "string_unicode": "must be UTF-8",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "tuple_type": "must be a list, such as [16, 32]",
    "dict_type": "must be names with values",
    "model_type": "must be a section of fields",
    "model_attributes_type": "must be a section of fields",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "string_too_short": "must not be empty",
    "too_short": "needs at least {min_length} value(s)",
    "literal_error": "must be one of: {expected}",
}
#: Shortens while it writes: a value may be huge.
_REPR = reprlib.Repr()
_REPR.maxlevel, _REPR.maxlist, _REPR.maxdict, _REPR.maxstring, _REPR.maxother = 3, 6, 4, 80, 80
_SECRET = re.compile(r"secret|token|passw|access_?key|api_?key", re.IGNORECASE)


def rule(error: ErrorDetails) -> str:
    """What the field must be, for one of pydantic's errors."""
    words = _WORDS.get(error["type"])
    if words is None:
        message = error["msg"].removeprefix("Value error, ")
        return message if error["type"] == "value_error" else message[:1].lower() + message[1:]
    context = {name: _clean_up(name, value) for name, value in error.get("ctx", {}).items()}
    return words.format_map(context)


def _clean_up(name: str, value: Any) -> str:
    if name == "expected":
        return str(value).replace("'", "").replace(" or ", ", ")
    return f"{value:g}" if isinstance(value, float) else str(value)


def shown(name: str, value: Any) -> str:
    """A value as found, shortened; never one whose field is named like a secret."""
    if _SECRET.search(name):
        return "a value that is not shown"
    if value is None or isinstance(value, bool):
        return str(value).lower().replace("none", "null")
    # Masked first: shortened, a login may not look like one any more.
    if isinstance(value, str):
        return _REPR.repr(masked(value))
    if isinstance(value, list):
        value = [masked(item) if isinstance(item, str) else item for item in value]
    return masked(_REPR.repr(value))


def near(wrong: str, known: Collection[str], lead: str = "") -> str:
    """` (did you mean …?)` for a misspelt name, or nothing. Dotted names are compared whole and by their last part."""
    close = difflib.get_close_matches(wrong, known, n=1, cutoff=0.66)
    if not close:
        last = wrong.rsplit(".", 1)[-1]
        by_last = {name.rsplit(".", 1)[-1]: name for name in reversed(list(known))}
        close = [by_last[match] for match in difflib.get_close_matches(last, by_last, n=1, cutoff=0.66)]
    return f" (did you mean {lead}{close[0]}?)" if close else ""
