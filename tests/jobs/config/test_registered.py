"""Names of encodings and formats are those of the registries, also of those that are registered later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jobs.__main__ import main
from jobs.config.advise import AdviseConfig
from jobs.config.compress import CompressConfig
from jobs.config.databases import DATABASES
from jobs.config.fit import FitConfig
from jobs.config.loader import load, resolved, split_arguments
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
    (problem,) = problems(AdviseConfig, None, *SECTIONS, "--adaptor.uri", "a", "--advising.encodings", "int8,flaot16")
    assert f"must be one of: {', '.join(ENCODINGS)} (did you mean float16?); got " in problem


def test_a_list_of_names_counts_once_each_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENCODINGS, "toy", "tests.toy:Toy")
    flags = [*SECTIONS, "--adaptor.uri", "a", "--advising.encodings", "int8,toy"]
    assert load(AdviseConfig, None, split_arguments(flags)[1]).advising.encodings == ("int8", "toy")


def test_a_database_is_given_by_for_on_the_command_line_and_by_its_name_in_a_file(tmp_path: Path) -> None:
    flags = [*SECTIONS, "--adaptor.uri", "a"]
    config = load(AdviseConfig, None, split_arguments([*flags, "--for", "pgvector"])[1])
    assert config.database == "pgvector"
    written = tmp_path / "config.json"
    written.write_text(resolved(config))
    assert load(AdviseConfig, written) == config
    (problem,) = problems(AdviseConfig, None, *flags, "--for", "pgvecto")
    assert problem.startswith(
        f"database: must be one of: {', '.join(DATABASES)} (did you mean pgvector?); got 'pgvecto'"
    )
    assert problems(AdviseConfig, None, *flags, "--for", "milvus", "--for", "qdrant") == [
        "--for: is given twice; keep one (command line)"
    ]


def test_the_help_lists_the_names(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(ENCODINGS, "toy", "tests.toy:Toy")
    main(["compress", "--help"])
    assert f"--output.encoding {'|'.join(ENCODINGS)}\n" in capsys.readouterr().out
    main(["advise", "--help"])
    printed = capsys.readouterr().out
    assert f"--advising.encodings {'|'.join(ENCODINGS)},…|null\n" in printed
    assert f"--for {'|'.join(DATABASES)}|null\n" in printed
