"""What draws pages is imported only where a page is drawn."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

DRAWING = {"matplotlib", "jinja2"}


@pytest.mark.parametrize(
    "module", ["jobs.fit.command", "jobs.advise.command", "jobs.reporting.evidence_table", "jobs.__main__"]
)
def test_commands_without_a_page_import_nothing_that_draws(module: str, root: Path) -> None:
    program = f"import {module}, sys; print(*sorted({DRAWING!r} & {{*sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=120)
    assert (done.stdout.strip(), done.returncode) == ("", 0), done.stderr


def test_only_the_room_of_reports_imports_what_draws(root: Path) -> None:
    importing = set()
    for file in (root / "jobs").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            if DRAWING & {name.split(".")[0] for name in names}:
                importing.add(file.parent.name)
    assert importing == {"reporting"}
