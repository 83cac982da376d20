"""From a YAML file and flags to a checked configuration, or to the list of everything that is wrong with them.

The flags win over the file. Both are laid into one mapping, the schema checks it, and every problem is reported at once
with its path, the rule, the value found and where that value stands.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from adaptor.errors import InputError
from jobs.config import messages as wording
from jobs.config.advise import AdviseConfig
from jobs.config.commands import CompressConfig, EvaluateConfig, FitConfig, SubmitConfig, VerifyConfig
from jobs.config.fields import Schema
from jobs.config.merged_input import Flag, MergedInput, put, remove
from jobs.config.plan import PlanConfig
from jobs.config.yaml_file import FieldPath, YamlFile, read
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
    source = read(file) if file is not None else YamlFile("")
    merged = MergedInput(schema, source)
    merged.lay_over(flags)
    merged.open_sections()
    config = _validate(schema, merged)
    if config is None or merged.problems:
        lines = "".join(f"\n  {problem}" for problem in merged.problems)
        raise InputError(
            f"{source.name or 'command line'} is invalid, {plural(len(merged.problems), 'problems')}:{lines}"
        )
    return config


def split_arguments(arguments: Sequence[str]) -> tuple[list[str], list[Flag]]:
    """Separate `--name value` and `--name=value` from the other arguments.

    Not argparse: it stops at the first unknown or incomplete flag, and all of them are to be reported.
    """
    others: list[str] = []
    flags: list[Flag] = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if not argument.startswith("--"):
            others.append(argument)
            continue
        name, has_value, value = argument[2:].partition("=")
        if has_value:
            flags.append((name, value))
        else:
            flags.append((name, rest.pop(0) if rest and not rest[0].startswith("--") else None))
    return others, flags


def resolved(config: BaseModel) -> str:
    """The configuration with every default, as JSON text that is itself a configuration file (nulls kept)."""
    text = json.dumps(config.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return _UNREADABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _validate(schema: type[Config], merged: MergedInput) -> Config | None:
    """Check against the schema; what is wrong is reported and set right, and the whole is checked again.

    A rule across fields is looked at once each of its fields is fine: setting the bad ones right brings it to light.
    """
    remaining = copy.deepcopy(merged.values)
    reported: set[FieldPath] = set()
    while True:
        try:
            return schema.model_validate(remaining)
        except ValidationError as problem:
            broken: dict[FieldPath, list[str]] = {}  # of a field that may be one thing or another, a rule of each
            for error in problem.errors(include_url=False):
                path = _field_path(merged, error["loc"])
                broken.setdefault(path, []).append(_rule(merged, path, error))
        changed = False
        for path, rules in broken.items():
            if path not in reported:
                reported.add(path)
                merged.report(path, " or ".join(dict.fromkeys(rules)))
                changed |= _set_right(merged, remaining, path)
        if not changed:
            return None


def _set_right(merged: MergedInput, values: dict[str, Any], path: FieldPath) -> bool:
    """Leave a bad value out, or put any valid one in the place of a required one; False when neither can be done."""
    entry = merged.fields.get(path)
    if entry is None or not entry.required or entry.shape != "value":
        return remove(values, path)
    put(values, path, entry.choices[0] if entry.choices else {str: "any", int: 1}.get(entry.kind or str))
    return True


def _rule(merged: MergedInput, path: FieldPath, error: Any) -> str:
    if error["type"] == "missing":
        return f"is required: {merged.fields[path].doc.rstrip('.')}"
    if error["type"] != "extra_forbidden":
        return wording.rule(error)
    beside = [known[-1] for known in merged.fields if known[:-1] == path[:-1]]
    guess = wording.near(path[-1], beside) or f" (known: {', '.join(beside)})"
    return f"there is no such field{guess}"


def _field_path(merged: MergedInput, location: tuple[int | str, ...]) -> FieldPath:
    """The field that an error is about: an item of a list belongs to the list, and so does what a value may be."""
    path = tuple(str(part) for part in location)
    whole = (path[:n] for n in range(1, len(path)) if path[:n] in merged.fields)
    return next((field for field in whole if merged.fields[field].shape in ("list", "value")), path)
