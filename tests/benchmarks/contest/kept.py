"""What earlier runs have done, on disk: maps and scores per set, method and seed, so that a run does only the rest."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from adaptor.artefact import Adaptor, load
from tests.benchmarks.contest.maps import Maps, Sides
from tests.benchmarks.contest.scores import QueryScores

_FACTS = "facts.json"
#: Ends the name of the folder of a queries' map, where they have their own.
_QUERIES = "-queries"


@dataclass(frozen=True)
class Place:
    """The folder of one fit: `<set>/<method>-s<seed>-<key of its settings>`."""

    folder: Path

    def maps(self) -> Maps | None:
        """The maps, None when they are not there."""
        if not (self.folder / _FACTS).is_file():
            return None
        found: dict[int, Adaptor | Sides] = {}
        for path in sorted(self.folder.iterdir()):
            if path.name.isdigit():
                queries = path.with_name(path.name + _QUERIES)
                found[int(path.name)] = Sides(load(path), load(queries)) if queries.is_dir() else load(path)
        return found

    def facts(self) -> dict[str, Any]:
        """What was written down about the fit."""
        facts: dict[str, Any] = json.loads((self.folder / _FACTS).read_text())
        return facts

    def keep_maps(self, maps: Maps, facts: Mapping[str, Any]) -> None:
        """Write maps and facts; the folder appears whole or not at all."""
        fresh = self.folder.with_name(f"{self.folder.name}.{os.getpid()}.tmp")
        shutil.rmtree(fresh, ignore_errors=True)
        for dim, served in maps.items():
            sides = {"": served} if isinstance(served, Adaptor) else {"": served.documents, _QUERIES: served.queries}
            for side, adaptor in sides.items():
                (fresh / f"{dim}{side}").mkdir(parents=True)
                for name, content in adaptor.to_files().items():
                    (fresh / f"{dim}{side}" / name).write_bytes(content)
        made = {**facts, "made": time.strftime("%Y-%m-%d %H:%M:%S")}
        (fresh / _FACTS).write_text(json.dumps(made, indent=1, default=str))
        shutil.rmtree(self.folder, ignore_errors=True)
        fresh.rename(self.folder)

    def scores(self, dim: int | str) -> QueryScores | None:
        """The scores at a dim (or a pair of dim and encoding, by name), None when they are not there."""
        path = self.folder / f"scores-{dim}.npz"
        if not path.is_file():
            return None
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}

    def keep_scores(self, dim: int | str, scores: QueryScores) -> None:
        """Write the scores at a dim or pair."""
        self.folder.mkdir(parents=True, exist_ok=True)
        fresh = self.folder / f"scores-{dim}.{os.getpid()}.tmp"
        with fresh.open("wb") as file:
            np.savez(file, allow_pickle=False, **scores)
        fresh.rename(self.folder / f"scores-{dim}.npz")


def place(root: Path, name: str, method: str, seed: int, key: str) -> Place:
    """Where the fit of a method (with this settings' key) on a set lies."""
    return Place(root / name / f"{re.sub(r'[^a-z0-9]+', '-', method)}-s{seed}-{key}")
