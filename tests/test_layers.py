"""Who may import whom: jobs uses adaptor and cluster, which know neither jobs nor each other; the rooms of jobs stand
in an order; nothing goes round in circles."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

FORBIDDEN = {"adaptor": {"ray", "jobs", "cluster"}, "cluster": {"adaptor", "jobs"}}
CODE = ("adaptor", "cluster", "jobs")
#: The rooms of jobs: each may import those before it. The registries of the doors and the version come before all.
ROOMS = (
    "runtime",
    "config",
    "storage",
    "sources",
    "encodings",
    "outputs",
    "commits",
    "search",
    "reporting",
)
#: Behind them the verbs, which do not know each other but for these; cli and __main__ know all.
VERBS = {"fit": set(), "advise": set(), "compress": set(), "verify": set(), "evaluate": set(), "plan": {"compress"}}
VERBS["submit"] = VERBS["inspect"] = VERBS["versions"] = VERBS["query_side"] = VERBS["export"] = set()
VERBS["run"] = {"fit", "compress", "verify", "evaluate", "versions"}
REGISTRIES = ("sources", "encodings", "outputs", "query_side", "export")
FIRST = {"jobs.version", *(f"jobs.{room}.registry" for room in REGISTRIES)}


def imports(file: Path) -> Iterator[str]:
    """Top names of all imports of a file, inside functions too."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno} imports relatively"
            yield str(node.module).split(".")[0]


def modules(root: Path) -> dict[str, Path]:
    """Our modules by name; a package stands for its `__init__`."""
    files = (file.relative_to(root) for package in CODE for file in (root / package).rglob("*.py"))
    return {".".join(file.with_suffix("").parts).removesuffix(".__init__"): root / file for file in files}


def imported_modules(file: Path, known: Iterable[str]) -> set[str]:
    """Our modules that a file imports, inside functions too, but not those that only type checkers read."""
    tree = ast.parse(file.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= whole & set(known) or {str(node.module)}
    return names & set(known)


def rank(module: str) -> int:
    """Where a module of jobs stands in the order."""
    room = module.split(".")[1] if "." in module else ""
    if module in FIRST or not room:
        return -1
    if room in VERBS:
        return len(ROOMS)
    return ROOMS.index(room) if room in ROOMS else len(ROOMS) + 1


def test_the_rooms_stand_in_their_order(root: Path) -> None:
    known = modules(root)
    wrong = []
    for module, file in known.items():
        if not module.startswith("jobs."):
            continue
        room = module.split(".")[1]
        for other in imported_modules(file, known):
            target = other.split(".")[1] if other.startswith("jobs.") else ""
            beside = room in VERBS and target in VERBS and target not in {room, *VERBS[room]}
            if other.startswith("jobs.") and (rank(other) > rank(module) or beside):
                wrong.append(f"{module} imports {other}")
    assert wrong == []


def test_every_room_has_its_place(root: Path) -> None:
    folders = {path.name for path in (root / "jobs").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == {*ROOMS, *VERBS}
    files = {path.name for path in (root / "jobs").glob("*.py")}
    assert files == {"__init__.py", "__main__.py", "cli.py", "version.py"}
    for verb in VERBS:
        assert (root / "jobs" / verb / "command.py").is_file()


def test_no_module_imports_itself_over_others(root: Path) -> None:
    known = modules(root)
    graph = {module: imported_modules(file, known) - {module} for module, file in known.items()}
    circle: list[str] = []
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as problem:
        circle = problem.args[1]
    assert circle == []


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_go_one_way(package: str, root: Path) -> None:
    files = sorted((root / package).rglob("*.py"))
    assert files
    wrong = {str(file.relative_to(root)): found for file in files if (found := FORBIDDEN[package] & {*imports(file)})}
    assert wrong == {}


def test_the_code_never_imports_its_tests(root: Path) -> None:
    files = [file for package in CODE for file in sorted((root / package).rglob("*.py"))]
    assert [file for file in files if "tests" in imports(file)] == []


def test_configs_hold_yaml_and_their_readme_only(root: Path) -> None:
    assert {file.suffix for file in (root / "configs").rglob("*") if file.is_file()} == {".yaml", ".md"}


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("adaptor", {"torch", "ray", "pyarrow", "pandas", "faiss", "jobs", "cluster"}),
        ("adaptor.query_side.exported", {"torch", "ray", "pyarrow", "pandas", "faiss", "jobs", "cluster"}),
        ("adaptor.query_side.langchain", {"torch", "ray", "pyarrow", "pandas", "faiss", "jobs", "cluster"}),
        ("adaptor.query_side.llamaindex", {"torch", "ray", "pyarrow", "faiss", "jobs", "cluster"}),
        ("adaptor.query_side.onnx", {"torch", "ray", "pyarrow", "pandas", "faiss", "jobs", "cluster"}),
        ("adaptor.query_side.sentence_transformers", {"ray", "faiss", "jobs", "cluster"}),
        ("jobs.query_side.command", {"torch", "ray", "faiss", "onnx", "matplotlib"}),
        ("jobs.__main__", {"torch", "ray", "pyarrow", "pandas", "faiss"}),
        ("jobs.config.loader", {"torch", "ray", "pyarrow", "pandas", "faiss"}),
        ("jobs.fit.command", {"matplotlib", "jinja2"}),
        ("jobs.inspect.command", {"torch", "ray", "faiss", "matplotlib"}),
        ("cluster.settings", {"torch", "ray", "pyarrow", "pandas", "faiss"}),
    ],
)
def test_what_is_imported_for_help_and_for_queries_is_light(module: str, heavy: set[str], root: Path) -> None:
    program = f"import {module}, sys; print(*sorted({heavy!r} & {{*sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.returncode) == ("", 0), done.stderr
