"""Who may import whom: jobs uses adaptor and cluster, which know neither jobs nor each other."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

FORBIDDEN = {"adaptor": {"ray", "jobs", "cluster"}, "cluster": {"adaptor", "jobs"}}
CODE = ("adaptor", "cluster", "jobs")


def imports(file: Path) -> Iterator[str]:
    """Top names of all imports of a file, inside functions too."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno} imports relatively"
            yield str(node.module).split(".")[0]


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_go_one_way(package: str, root: Path) -> None:
    files = sorted((root / package).rglob("*.py"))
    assert files
    wrong = {str(file.relative_to(root)): found for file in files if (found := FORBIDDEN[package] & {*imports(file)})}
    assert wrong == {}


def test_the_code_never_imports_its_tests(root: Path) -> None:
    files = [file for package in CODE for file in sorted((root / package).rglob("*.py"))]
    assert [file for file in files if "tests" in imports(file)] == []


def test_configs_hold_yaml_only(root: Path) -> None:
    assert {file.suffix for file in (root / "configs").rglob("*") if file.is_file()} == {".yaml"}


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("adaptor", {"torch", "ray", "pyarrow", "pandas", "faiss", "jobs", "cluster"}),
        ("jobs.__main__", {"torch", "ray", "pyarrow", "pandas", "faiss"}),
        ("jobs.config.loader", {"torch", "ray", "pyarrow", "pandas", "faiss"}),
        ("cluster.settings", {"torch", "ray", "pyarrow", "pandas", "faiss"}),
    ],
)
def test_what_is_imported_for_help_and_for_queries_is_light(module: str, heavy: set[str], root: Path) -> None:
    program = f"import {module}, sys; print(*sorted({heavy!r} & {{*sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.returncode) == ("", 0), done.stderr
