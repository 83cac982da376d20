"""Runs of the frontier: which pairs are missing, and what was measured of each, kept on disk."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from adaptor.artefact import Adaptor
from tests.benchmarks.contest.asked import CHOICE, TEST, Asked
from tests.benchmarks.contest.codes import CodeMethod, Coder, Material, Pair, code_scores
from tests.benchmarks.contest.kept import Place, place
from tests.benchmarks.contest.methods import METHODS
from tests.benchmarks.contest.scores import QueryScores

_BYTES = "bytes"


@dataclass(frozen=True)
class CodeRun:
    """What was measured of a pair of one method on one set with one seed: scores per query on both kinds of queries."""

    set: str
    method: str
    seed: int
    pair: Pair
    bytes: int
    choice: QueryScores
    test: QueryScores


@dataclass(frozen=True)
class Task:
    """One method on one set with one seed, for some budgets; `root` is where results are kept."""

    root: Path
    asked: Asked
    name: str
    method: CodeMethod
    seed: int
    budgets: Sequence[int]

    @property
    def input_dim(self) -> int:
        """Dimension of the set's vectors."""
        return int(self.asked.there.vectors.shape[1])

    @property
    def pairs(self) -> list[Pair]:
        """The pairs of all budgets, once each."""
        offered = (pair for budget in self.budgets for pair in self.method.pairs(self.input_dim, budget))
        return list(dict.fromkeys(offered))

    @property
    def kept(self) -> Place:
        """Where the scores are: another folder for other queries or another version or fit."""
        sizes = {purpose: len(queries.vectors) for purpose, queries in self.asked.queries.items()}
        fit = METHODS[self.method.map].key() if self.method.map else None
        key = hashlib.sha256(repr((self.method.version, fit, sizes)).encode()).hexdigest()[:12]
        return place(self.root / "codes", self.asked.there.name, self.name.lower(), self.seed, key)

    def run(self) -> None:
        """Measure what is missing."""
        coder: Coder | None = None
        for pair in self.pairs:
            if self.kept.scores(_name(pair)) is None:
                began = time.monotonic()
                coder = coder or self.method.coder(Material(self.asked.there, self.seed, self._adaptor))
                self.kept.keep_scores(_name(pair), _measured(self.asked, coder, pair))
                _tell(self, pair, time.monotonic() - began)

    def done(self) -> Iterator[CodeRun]:
        """All pairs that were measured."""
        for pair in self.pairs:
            found = self.kept.scores(_name(pair))
            if found is not None:
                choice, test = _of_purpose(found, CHOICE), _of_purpose(found, TEST)
                size = int(found[_BYTES][0])
                yield CodeRun(self.asked.there.name, self.name, self.seed, pair, size, choice, test)

    def _adaptor(self, name: str) -> Adaptor:
        """The adaptor that a method of quality.py fits, from where that benchmark keeps it too."""
        method = METHODS[name]
        kept = place(self.root / "kept", self.asked.there.name, name, self.seed, method.key())
        maps = kept.maps()
        if maps is None:
            began = time.monotonic(), time.process_time()
            maps = method.fit(self.asked.there, self.seed)
            seconds = {"seconds": time.monotonic() - began[0], "cpu_seconds": time.process_time() - began[1]}
            kept.keep_maps(maps, {"method": name, "settings": method.settings, **seconds})
        served = maps[max(maps)]
        if not isinstance(served, Adaptor):
            raise TypeError(f"{name} maps queries in another way than documents: it has no codec")
        return served


def _measured(asked: Asked, coder: Coder, pair: Pair) -> QueryScores:
    code = coder(pair)
    scores = {_BYTES: np.array([code.bytes], np.float64)}
    for purpose, queries in asked.queries.items():
        scores |= {f"{purpose} {metric}": values for metric, values in code_scores(code, queries).items()}
    return scores


def _of_purpose(scores: QueryScores, purpose: str) -> QueryScores:
    return {name.removeprefix(f"{purpose} "): v for name, v in scores.items() if name.startswith(f"{purpose} ")}


def _tell(task: Task, pair: Pair, seconds: float) -> None:
    (found,) = [run for run in task.done() if run.pair == pair]
    where = f"{time.strftime('%H:%M:%S')} {found.set}: {task.name}, seed {task.seed}, {pair.dim} x {pair.encoding}"
    ndcg, overlap = (found.test[metric].mean() for metric in ("ndcg@10", "overlap@10"))
    print(f"{where}: {found.bytes} bytes, nDCG@10 {ndcg:.3f}, overlap@10 {overlap:.3f}, {seconds:.1f} s", flush=True)


def _name(pair: Pair) -> str:
    return f"{pair.dim}-{pair.encoding.replace(' ', '-')}"
