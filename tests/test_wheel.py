"""The wheel as a user gets it: what is in it, and what works in an environment with the base dependencies alone."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path, PurePosixPath
from zipfile import ZipFile

import numpy as np
import pytest
from packaging.requirements import Requirement

from adaptor import load
from tests.jobs.evaluate.inputs import make_adaptor, save_adaptor
from tests.jobs.query_side.exports import export
from tests.scifact_adaptor import SCIFACT, scifact_adaptor, vectors_of

PACKAGES = ("adaptor", "cluster", "jobs")
#: Everything beside the packages that a build looks at, and what must not get into the wheel.
BESIDE = ("pyproject.toml", "README.md", "LICENSE", "configs", "tests")
DATA = ("*.j2", "*.json", "*.yaml", "Dockerfile")


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the sources: an old `build/` of theirs would get into it."""
    copy, target = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("wheel")
    for name in (*PACKAGES, *BESIDE):
        if (root / name).is_dir():
            shutil.copytree(root / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.parquet"))
        else:
            shutil.copy(root / name, copy / name)
    _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", target, copy)
    (built,) = target.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def light(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that holds the wheel, its base dependencies and theirs, as links, and nothing else."""
    folder = tmp_path_factory.mktemp("light") / "venv"
    venv.create(folder, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    for dependency in _base_dependencies(wheel):
        for entry in {PurePosixPath(file).parts[0] for file in dependency.files or ()} - {"..", "__pycache__"}:
            (packages / entry).symlink_to(Path(str(dependency.locate_file(entry))))
    _pip("--python", folder / "bin" / "python", "install", "--no-deps", "--no-index", wheel)
    return folder


def test_the_wheel_holds_the_packages_their_data_and_nothing_else(wheel: Path, root: Path) -> None:
    with ZipFile(wheel) as content:
        names = {name for name in content.namelist() if ".dist-info/" not in name}
    wanted = {path for package in PACKAGES for kind in ("*.py", *DATA) for path in (root / package).rglob(kind)}
    assert names == {path.relative_to(root).as_posix() for path in wanted}


def test_base_dependencies_are_those_of_the_query_side(wheel: Path) -> None:
    assert {requirement.name for requirement in _base_requirements(wheel)} == {"numpy", "pydantic", "safetensors"}


def test_a_query_is_shortened_in_under_a_second(light: Path, tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(300, 96)).astype(np.float32)
    save_adaptor(make_adaptor(vectors, (32, 64)), tmp_path / "adaptor")
    np.save(tmp_path / "vectors.npy", vectors)
    program = (
        "import time; began = time.process_time()\n"
        "import adaptor, numpy as np\n"
        "short = adaptor.load('adaptor').transform(np.load('vectors.npy'), dim=64)\n"
        "np.save('short.npy', short); print(time.process_time() - began)"
    )
    done = _run(light / "bin" / "python", "-c", program, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert float(done.stdout) < 1
    expected = load(tmp_path / "adaptor").transform(vectors, dim=64)
    np.testing.assert_array_equal(np.load(tmp_path / "short.npy"), expected)


def test_so_is_one_by_an_exported_matrix(light: Path, tmp_path: Path) -> None:
    folder = export(scifact_adaptor(), tmp_path, "matrix", dim=64, encoding="int2")
    vectors = vectors_of(SCIFACT / "queries.parquet")[:20]
    np.save(tmp_path / "vectors.npy", vectors)
    program = (
        "import numpy as np\nfrom adaptor.query_side.exported import open_query_side\n"
        f"np.save('codes.npy', open_query_side({str(folder)!r}).encode(np.load('vectors.npy')))"
    )
    done = _run(light / "bin" / "python", "-c", program, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    expected = scifact_adaptor().codec(dim=64, encoding="int2").encode(vectors)
    np.testing.assert_array_equal(np.load(tmp_path / "codes.npy"), expected)


@pytest.mark.parametrize("arguments", [[], ["fit", "--help"], ["compress", "compress.yaml"]])
def test_the_command_names_the_extra_that_is_missing(light: Path, tmp_path: Path, arguments: list[str]) -> None:
    done = _run(light / "bin" / "matryoshka", *arguments, folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("matryoshka: ")
    assert line.endswith(" is not installed: pip install 'matryoshka-adaptor[jobs,cpu]'")


@pytest.mark.parametrize("library", ["faiss", "ray", "pyarrow"])
def test_so_does_a_verb_that_needs_more_than_is_there(library: str, root: Path) -> None:
    program = (
        f"import sys; sys.modules[{library!r}] = None\nfrom jobs.__main__ import main\nsys.exit(main(sys.argv[1:]))"
    )
    done = _run(sys.executable, "-c", program, "fit", "--source.uri", "in", "--output.uri", "out", folder=root)
    hint = f"matryoshka: {library} is not installed: pip install 'matryoshka-adaptor[jobs,cpu]'\n"
    assert (done.returncode, done.stderr) == (2, hint)


def _base_requirements(wheel: Path) -> list[Requirement]:
    """What the wheel asks for when no extra is named."""
    with ZipFile(wheel) as content:
        (metadata,) = (name for name in content.namelist() if name.endswith(".dist-info/METADATA"))
        lines = content.read(metadata).decode().splitlines()
    asked = [Requirement(line.partition(": ")[2]) for line in lines if line.startswith("Requires-Dist: ")]
    return [requirement for requirement in asked if _applies(requirement)]


def _base_dependencies(wheel: Path) -> Iterator[Distribution]:
    """Those requirements as they are installed here, and what they require in turn."""
    waiting, names = _base_requirements(wheel), set()
    while waiting:
        name = waiting.pop().name
        if name in names:
            continue
        names.add(name)
        found = distribution(name)
        waiting += [needed for text in found.requires or () if _applies(needed := Requirement(text))]
        yield found


def _applies(requirement: Requirement) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": ""})


def _pip(*arguments: str | Path) -> None:
    done = _run(sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments)
    assert done.returncode == 0, done.stderr


def _run(program: str | Path, *arguments: str | Path, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, *arguments], cwd=folder, capture_output=True, text=True, timeout=120)
