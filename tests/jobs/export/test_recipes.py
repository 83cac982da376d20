"""The recipes of jobs/export/README.md, run as they stand there: a full load, a day's feed, a search."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.export.days import ADAPTOR, Day
from tests.jobs.export.engines import exact_distances, overlap
from tests.jobs.export.importers import BulkImporter
from tests.jobs.export.versions import VersionMaker, vectors

pytestmark = pytest.mark.engines

RECIPE = re.compile(r"### (\S+)[^\n(]*\(([^)]*)\)\n\n```python\n(.*?)```", re.DOTALL)
ROOT = Path(__file__).resolve().parents[3]
RECIPES = {name: (kinds, code) for name, kinds, code in RECIPE.findall((ROOT / "jobs/export/README.md").read_text())}
LIBRARIES = {"DuckDB": ["duckdb"], "SQLite": ["apsw", "sqlite_vec"], "usearch": ["usearch"], "Chroma": ["chromadb"]}
#: Those that search a graph.
APPROXIMATE = {"Chroma": 0.99}
CASES = [(name, kind) for name, (kinds, _) in RECIPES.items() for kind in kinds.split(", ")]


def test_there_is_a_recipe_for_each() -> None:
    assert set(RECIPES) == set(LIBRARIES)


@pytest.mark.filterwarnings("ignore")  # of the engines' own
@pytest.mark.parametrize(("name", "encoding"), CASES)
def test_a_recipe_loads_follows_and_finds(
    name: str, encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for library in LIBRARIES[name]:
        pytest.importorskip(library)
    monkeypatch.chdir(tmp_path)
    day = Day(BulkImporter(""), "c", tmp_path)
    maker = VersionMaker(tmp_path / "version", ADAPTOR, encoding)
    first = maker.commit(day.first)
    files = [str(maker.folder / file.path) for file in first.files]
    contents = {path: Path(path).read_bytes() for path in files}
    second = maker.commit(day.second())
    for path, content in contents.items():  # those of the first sequence, which the second has put away
        Path(path).write_bytes(content)
    feeds = [str(maker.folder / feed.path) for feed in second.feeds]
    assert json.loads((maker.folder / "manifest.json").read_text())["feeds"]
    queries = vectors(20, 99)
    codec = ADAPTOR.codec(dim=maker.dim, encoding=encoding)
    names: dict[str, Any] = {"files": files, "feeds": feeds, "codec": codec, "queries": queries}
    exec(RECIPES[name][1], names)  # noqa: S102  # our own documentation
    wanted = APPROXIMATE.get(name, 0.999)
    assert overlap(names["found"], exact_distances(maker, queries), 10) >= wanted
