"""Plain words for what is wrong with a configuration: one line per problem."""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Iterable
from typing import Any

from pydantic_core import ErrorDetails

from jobs.config.credential_redaction import SECRET_NAME, masked

#: By the type of pydantic's error, or by its first word. For all others pydantic's own words do.
_RULES = {
    "missing": "is required",
    "int": "must be a whole number",
    "float": "must be a number",
    "bool": "must be true or false",
    "string_unicode": "must be UTF-8",
    "tuple": "must be a list, such as [16, 32]",
    "dict": "must be names with values",
    "model": "must be a section of fields",
}
#: Shortens while it writes: a value may be huge.
_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = 80


def rule(error: ErrorDetails, names: Iterable[str]) -> str:
    """What the field must be, for one of pydantic's errors; `names` are those of all fields."""
    if error["type"] == "extra_forbidden":
        return "there is no such field" + (suggestion(".".join(map(str, error["loc"])), names) or " (--help lists all)")
    name = "the name " if error["loc"][-1:] == ("[key]",) else ""
    words = _RULES.get(error["type"]) or _RULES.get(error["type"].partition("_")[0])
    return name + (words or re.sub(r"^Value error, |^\w+ (?=should )", "", error["msg"]).replace("should", "must", 1))


def displayed(name: str, value: Any) -> str:
    """A value as it stands, shortened; never one whose field is named like a secret."""
    if SECRET_NAME.search(name):
        return "a value that is not shown"
    if isinstance(value, list):
        value = [masked(item) if isinstance(item, str) else item for item in value]
    # Masked first: shortened, a login may not look like one any more.
    return "null" if value is None else masked(_REPR.repr(masked(value) if isinstance(value, str) else value))


def suggestion(wrong: str, names: Iterable[str]) -> str:
    """` (did you mean …?)` for a misspelt name, or nothing. Dotted names are compared whole and by their last part."""
    whole = {name: name for name in names}
    by_last_part = {name.rsplit(".", 1)[-1]: name for name in reversed(whole)}
    for word, candidates in ((wrong, whole), (wrong.rsplit(".", 1)[-1], by_last_part)):
        for match in difflib.get_close_matches(word, candidates, n=1, cutoff=0.66):
            return f" (did you mean {candidates[match]}?)"
    return ""
