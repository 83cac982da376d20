"""Names of encodings and formats are those of the registries, also of those that are registered later."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.__main__ import main
from jobs.config.advise import AdviseConfig
from jobs.config.compress import CompressConfig
from jobs.config.fit import FitConfig
from jobs.config.loader import load, split_arguments
from jobs.config.plan import PlanConfig
from jobs.encodings.registry import ENCODINGS
from jobs.outputs.registry import OUTPUT_FORMATS
from jobs.sources.registry import SOURCES
from tests.jobs.config.loading import problems

SECTIONS = ["--source.uri", "in", "--output.uri", "out"]
DESCRIBED = ["--describe.rows", "9", "--describe.dim", "8", "--describe.output_dim", "4"]
FIELDS = [
    (FitConfig, "source.format", SOURCES, SECTIONS),
    (FitConfig, "queries.format", SOURCES, [*SECTIONS, "--queries.uri", "q"]),
    (FitConfig, "qrels.format", SOURCES, [*SECTIONS, "--queries.uri", "q", "--qrels.uri", "r"]),
    (CompressConfig, "output.format", OUTPUT_FORMATS, [*SECTIONS, "--adaptor.uri", "a", "--output.dim", "4"]),
    (CompressConfig, "output.encoding", ENCODINGS, [*SECTIONS, "--adaptor.uri", "a", "--output.dim", "4"]),
    (AdviseConfig, "advising.encoding", ENCODINGS, [*SECTIONS, "--adaptor.uri", "a"]),
    (PlanConfig, "describe.output_encoding", ENCODINGS, DESCRIBED),
]


@pytest.mark.parametrize(("schema", "field", "registry", "others"), FIELDS, ids=[field[1] for field in FIELDS])
def test_a_name_counts_once_it_is_registered(
    schema: Any, field: str, registry: dict[str, str], others: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (problem,) = problems(schema, None, *others, f"--{field}", "toy")
    rule = f"{field}: must be one of: {', '.join(registry)}"
    assert problem == f"{rule}{';' if ',' in rule else ','} got 'toy' (command line)"
    monkeypatch.setitem(registry, "toy", "tests.toy:Toy")
    config = load(schema, None, split_arguments([*others, f"--{field}", "toy"])[1])
    section, name = field.split(".")
    assert getattr(getattr(config, section), name) == "toy"


def test_a_misspelt_name_is_guessed() -> None:
    (problem,) = problems(AdviseConfig, None, *SECTIONS, "--adaptor.uri", "a", "--advising.encoding", "flaot16")
    assert "must be one of: float32, float16 (did you mean float16?); got 'flaot16'" in problem


def test_the_help_lists_the_names(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(ENCODINGS, "toy", "tests.toy:Toy")
    main(["compress", "--help"])
    assert f"--output.encoding {'|'.join(ENCODINGS)}\n" in capsys.readouterr().out
