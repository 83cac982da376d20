"""Any history of shards that come, change and go, drivers that start on late listings, workers that crawl and die."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from jobs.commits.ledger import list_names, output_keys, read_record
from jobs.commits.work_items import Planner, WorkItem, WorkPlan
from jobs.sources.source import Shard
from tests.jobs.commits.interleaving import Answer, Commit, Direct, Request, World, etag, perform, places

SHARDS = ("a", "b/c")
_MOST_WORKERS = 3


@dataclass
class Worker:
    """A commit under way: what it was answered so far."""

    commit: Commit
    answers: tuple[Answer, ...] = field(default=())

    @property
    def waiting(self) -> Request | None:
        """What it asks next."""
        return self.commit.next_request(self.answers)


class LedgerMachine(RuleBasedStateMachine):
    """The real plan and the real commit over a world in memory; the model is the content of the shards."""

    def __init__(self) -> None:
        super().__init__()
        self.world: World = {}
        self.workers: list[Worker] = []
        self.version = 0
        self.scratch = Path(tempfile.mkdtemp(prefix="ledger-machine-"))

    def teardown(self) -> None:
        """Let some die and some finish, run once more undisturbed: all is there, once and right."""
        for number, worker in enumerate(self.workers):
            while (request := worker.waiting) is not None and number % 2:
                self._answer(worker, request)
        for item in self._plan(frozenset()).todo:
            direct = Direct(self.world)
            self._commit_of(item).run(direct)
            self.world = direct.world
        superseded = {f"output_version/{name.key}" for name in self._plan(frozenset()).superseded}
        self.world = {key: content for key, content in self.world.items() if key not in superseded}
        output_version = places(Direct(self.world))[1]
        records = [read_record(output_version, name) for name in list_names(output_version)]
        current = sorted((r.shard, r.version) for r in records if f"source/{r.shard}" in self.world)
        assert current == [(shard.key, shard.version) for shard in self._shards()]
        assert self._truthful()
        shutil.rmtree(self.scratch)

    @rule(name=st.sampled_from(SHARDS))
    def write_shard(self, name: str) -> None:
        """A shard is new, or has other rows; somebody notices soon."""
        self.version += 1
        self.world = {**self.world, f"source/{name}.parquet": b"version %d" % self.version}
        self.start_driver(set())

    @rule(name=st.sampled_from(SHARDS))
    def remove_shard(self, name: str) -> None:
        """A shard leaves the source."""
        self.world = {key: content for key, content in self.world.items() if key != f"source/{name}.parquet"}

    @rule(late=st.sets(st.integers(0, 9)))
    def start_driver(self, late: set[int]) -> None:
        """A driver plans; listings of the output version may miss some objects."""
        below = sorted(key for key in self.world if key.startswith("output_version/"))
        for item in self._plan(frozenset(key for number, key in enumerate(below) if number in late)).todo:
            if len(self.workers) == _MOST_WORKERS:
                return
            self.workers.append(Worker(self._commit_of(item)))

    @precondition(lambda self: self.workers)
    @rule(number=st.integers(0, _MOST_WORKERS - 1), requests=st.sampled_from((1, 1, 2, 3, 20)), lost=st.booleans())
    def go_on(self, number: int, requests: int, lost: bool) -> None:
        """A worker makes a few requests; the reply to a conditional one may be lost, so that it is asked for again."""
        worker = self.workers[number % len(self.workers)]
        for _ in range(requests):
            if (request := worker.waiting) is None:
                self.workers.remove(worker)
                return
            self._answer(worker, request, lost)

    @precondition(lambda self: self.workers)
    @rule(number=st.integers(0, _MOST_WORKERS - 1))
    def kill(self, number: int) -> None:
        """A worker dies."""
        self.workers.remove(self.workers[number % len(self.workers)])

    @invariant()
    def what_counts_as_done_is_right(self) -> None:
        """At every moment."""
        assert self._truthful()

    def _truthful(self) -> bool:
        done = self._plan(frozenset()).done
        return all(
            self.world[f"output_version/{item.output}"] == b"rows of " + self.world[f"source/{item.shard.key}"]
            and self.world.get(f"output_version/{item.quarantine}") == self._rejected(item)
            for item in done
        )

    def _answer(self, worker: Worker, request: Request, lost: bool = False) -> None:
        self.world, answer = perform(request, self.world)
        if lost and request.conditional and answer == {}:
            answer = FileExistsError()
        worker.answers = (*worker.answers, answer)

    def _commit_of(self, item: WorkItem) -> Commit:
        content = b"rows of " + self.world[f"source/{item.shard.key}"]
        return Commit(item, content, self.scratch, self._rejected(item))

    def _rejected(self, item: WorkItem) -> bytes | None:
        """Every other version of a shard has rows to be set aside."""
        content = self.world[f"source/{item.shard.key}"]
        return b"bad rows of " + content if content[-1] % 2 else None

    def _shards(self) -> list[Shard]:
        sources = sorted((key, content) for key, content in self.world.items() if key.startswith("source/"))
        return [Shard(key.removeprefix("source/"), len(content), etag(content)) for key, content in sources]

    def _plan(self, unseen: frozenset[str]) -> WorkPlan:
        """What a driver finds to do that does not see these objects of the output version."""
        seen = {key: content for key, content in self.world.items() if key not in unseen}
        output_version = places(Direct(seen))[1]
        outputs = set(output_keys(output_version, ".parquet"))
        return Planner(1 << 40, ".parquet").plan(self._shards(), list_names(output_version), outputs, {})


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
