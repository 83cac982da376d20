"""Every shipped configuration is one of its command; the sources keep the house rules that a script can check."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.config.loader import SCHEMAS, load

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))
SOURCES = sorted(file for package in ("adaptor", "cluster", "jobs") for file in (ROOT / package).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: str(file.relative_to(ROOT)))
def test_it_is_a_configuration_of_the_command_it_is_named_after(file: Path) -> None:
    assert load(SCHEMAS[file.stem], file) is not None


@pytest.mark.parametrize("folder", ["configs", "configs/demo"])
def test_there_is_one_for_every_command(folder: str) -> None:
    assert {file.stem for file in (ROOT / folder).glob("*.yaml")} == set(SCHEMAS)


@pytest.mark.parametrize("folder", ["configs", "configs/demo"])
def test_commands_that_work_on_the_same_data_agree(folder: str) -> None:
    compress = load(SCHEMAS["compress"], ROOT / folder / "compress.yaml").model_dump()
    verify = load(SCHEMAS["verify"], ROOT / folder / "verify.yaml").model_dump()
    fit = load(SCHEMAS["fit"], ROOT / folder / "fit.yaml").model_dump()
    evaluate = load(SCHEMAS["evaluate"], ROOT / folder / "evaluate.yaml").model_dump()
    advise = load(SCHEMAS["advise"], ROOT / folder / "advise.yaml").model_dump()
    plan = load(SCHEMAS["plan"], ROOT / folder / "plan.yaml").model_dump()
    for other in (verify, plan):
        assert {name: other[name] for name in ("source", "adaptor", "output")} == {
            name: compress[name] for name in ("source", "adaptor", "output")
        }
    assert fit["source"] == compress["source"] == evaluate["source"] == advise["source"]
    assert fit["output"]["uri"] == compress["adaptor"]["uri"] == evaluate["adaptor"]["uri"] == advise["adaptor"]["uri"]


@pytest.mark.parametrize("file", SOURCES + TESTS + CONFIGS, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_file_is_longer_than_300_lines(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= 300


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_public_function_and_class_is_documented(file: Path) -> None:
    bare = [f"{file.name}:{node.lineno} {node.name}" for node in undocumented(ast.parse(file.read_text()))]
    assert bare == []


def undocumented(scope: ast.Module | ast.ClassDef) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """Undocumented public names of a module and of its public classes; what is local to a function is not public."""
    for node in scope.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        if ast.get_docstring(node) is None:
            yield node
        if isinstance(node, ast.ClassDef):
            yield from undocumented(node)
