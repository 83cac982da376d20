"""From a YAML file and flags to a checked configuration, or to the list of everything that is wrong with them.

The flags win over the file. Both are laid into one mapping, the schema checks it, and every problem is reported at once
with its path, the rule, the value found and where that value stands.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from adaptor.errors import InputError
from jobs.config.advise import AdviseConfig
from jobs.config.compress import CompressConfig
from jobs.config.evaluate import EvaluateConfig
from jobs.config.fields import Schema
from jobs.config.fit import FitConfig
from jobs.config.merged_input import Flag, MergedInput, without
from jobs.config.messages import near, rule
from jobs.config.plan import PlanConfig
from jobs.config.submit import SubmitConfig
from jobs.config.verify import VerifyConfig
from jobs.config.yaml_file import Entry, FieldPath
from jobs.runtime.plural import plural

Config = TypeVar("Config", bound=BaseModel)

#: The schema of every command.
SCHEMAS: dict[str, Schema] = {
    "fit": FitConfig,
    "advise": AdviseConfig,
    "compress": CompressConfig,
    "evaluate": EvaluateConfig,
    "verify": VerifyConfig,
    "plan": PlanConfig,
    "submit": SubmitConfig,
}
#: JSON leaves these raw inside strings, YAML folds or refuses them.
_UNREADABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def load(schema: type[Config], file: Path | None, flags: Iterable[Flag] = ()) -> Config:
    """Check a YAML file (or none) with `flags` laid over it.

    Raises InputError, whose message lists every problem in a line of its own.
    """
    merged = MergedInput(schema, file, flags)
    config = _validated(schema, merged)
    if config is None or merged.problems:
        said = f"{file or 'command line'} is invalid, {plural(len(merged.problems), 'problems')}:"
        raise InputError("\n  ".join([said, *merged.problems]))
    return config


def split_arguments(arguments: Sequence[str]) -> tuple[list[str], list[Flag]]:
    """Separate `--name value` and `--name=value` from the other arguments.

    Not argparse: it stops at the first unknown or incomplete flag, and all of them are to be reported.
    """
    others: list[str] = []
    flags: list[Flag] = []
    for argument in arguments:
        name, has_value, value = argument.partition("=")
        if name.startswith("--"):
            flags.append((name[2:], value if has_value else None))
        elif flags and flags[-1][1] is None:
            flags[-1] = (flags[-1][0], argument)
        else:
            others.append(argument)
    return others, flags


def resolved(config: BaseModel) -> str:
    """The configuration with every default, as JSON text that is itself a configuration file (nulls kept)."""
    text = json.dumps(config.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return _UNREADABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _validated(schema: type[Config], merged: MergedInput) -> Config | None:
    """Check against the schema; what is wrong is reported and set right, and the whole is checked again.

    A rule across fields is looked at once each of its fields is fine: setting the bad ones right brings it to light.
    """
    entries = merged.entries
    reported: set[FieldPath] = set()
    while True:
        try:
            return schema.model_validate(merged.nested(entries))
        except ValidationError as problem:
            rules: dict[FieldPath, list[str]] = {}  # of a field that may be one thing or another, a rule of each
            for error in problem.errors(include_url=False):
                path = _field_path(merged, error["loc"])
                if reported.isdisjoint(path[:length] for length in range(len(path) + 1)):
                    rules.setdefault(path, []).append(_rule(merged, path, error))
        if not rules:
            return None
        for path, broken in rules.items():
            merged.report(path, " or ".join(dict.fromkeys(broken)))
            entries = without(entries, path)
            if path in merged.fields and merged.fields[path].required:
                entries[path] = Entry("1", "")  # which most fields take
        reported |= rules.keys()


def _rule(merged: MergedInput, path: FieldPath, error: ErrorDetails) -> str:
    if error["type"] == "missing":
        return f"is required: {merged.fields[path].doc.rstrip('.')}"
    if error["type"] == "extra_forbidden":
        beside = [known[-1] for known in merged.fields if known[:-1] == path[:-1]]
        return "there is no such field" + (near(path[-1], beside) or f" (known: {', '.join(beside)})")
    return ("the name " if error["loc"][-1:] == ("[key]",) else "") + rule(error)


def _field_path(merged: MergedInput, location: tuple[int | str, ...]) -> FieldPath:
    """The field that an error is about: an item of a list belongs to the list, and so does what a value may be."""
    path = tuple(str(part) for part in location if part != "[key]")
    fields = (merged.fields.get(path[:length]) for length in range(1, len(path)))
    return next((field.path for field in fields if field and field.shape in ("value", "list")), path)
