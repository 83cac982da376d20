"""From a YAML file and flags to a checked configuration, or to the list of everything that is wrong with them.

The flags win over the file. The schema checks both together. Each problem has a line of its own: the field, the rule,
the value and where it stands. A rule across sections is checked once each section is right by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from adaptor.errors import InputError
from jobs.config.advise import AdviseConfig
from jobs.config.compress import CompressConfig
from jobs.config.evaluate import EvaluateConfig
from jobs.config.export import ExportConfig
from jobs.config.fields import Schema
from jobs.config.fit import FitConfig
from jobs.config.inspect import InspectConfig
from jobs.config.merged_input import Flag, MergedInput
from jobs.config.messages import rule
from jobs.config.plan import PlanConfig
from jobs.config.query_side import QuerySideConfig
from jobs.config.run import RunConfig
from jobs.config.submit import SubmitConfig
from jobs.config.verify import VerifyConfig
from jobs.config.versions import VersionsConfig
from jobs.runtime.plural import plural

Config = TypeVar("Config", bound=BaseModel)

#: The schema of every command.
SCHEMAS: dict[str, Schema] = {
    "run": RunConfig,
    "fit": FitConfig,
    "advise": AdviseConfig,
    "compress": CompressConfig,
    "evaluate": EvaluateConfig,
    "verify": VerifyConfig,
    "plan": PlanConfig,
    "inspect": InspectConfig,
    "versions": VersionsConfig,
    "query-side": QuerySideConfig,
    "export": ExportConfig,
    "submit": SubmitConfig,
}
#: JSON leaves these raw inside strings, YAML folds or refuses them.
_UNREADABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def load(schema: type[Config], file: Path | None, flags: Iterable[Flag] = ()) -> Config:
    """Check a YAML file (or none) with `flags` laid over it. Raises InputError with a line for every problem."""
    merged = MergedInput(schema, file, flags)
    problems = merged.problems
    try:
        config = schema.model_validate(merged.values)
        if not problems:
            return config
    except ValidationError as invalid:
        problems += _problems(merged, invalid)
    heading = f"{file or 'command line'} is invalid, {plural(len(problems), 'problems')}:"
    raise InputError("\n  ".join([heading, *problems]))


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
    return _UNREADABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", config.model_dump_json(indent=2)) + "\n"


def _problems(merged: MergedInput, invalid: ValidationError) -> Iterator[str]:
    """A line for each field; where a field may be one thing or another, the line has a rule of each."""
    errors = invalid.errors(include_url=False)
    for (path, value), of_field in groupby(errors, lambda error: merged.field_at(error["loc"])):
        rules = dict.fromkeys(rule(error, merged.fields) for error in of_field)
        yield merged.problem(path, value, " or ".join(rules))
