"""Loading a configuration of fit, and what is said of one that is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adaptor import InputError
from jobs.config.fit import FitConfig
from jobs.config.loader import load, split_arguments

FIT_FLAGS = ("--source.uri", "in", "--output.uri", "out")
FIT = "source: {uri: in}\noutput: {uri: out}\n"


def problems(schema: Any, file: Path | None, *arguments: str) -> list[str]:
    """One line for each thing that is wrong."""
    with pytest.raises(InputError) as caught:
        load(schema, file, split_arguments(arguments)[1])
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


def fit(file: Path | None, *arguments: str) -> FitConfig:
    """The configuration of fit."""
    return load(FitConfig, file, split_arguments(arguments)[1])
