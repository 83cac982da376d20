"""Every interleaving of two commits, with a crash at every point, lost replies and a shard that changes meanwhile."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

from jobs.commits import commit as product
from jobs.commits.ledger import list_names, output_keys, quarantine_keys, read_record
from jobs.commits.work_items import Planner, WorkItem, WorkPlan
from jobs.sources.source import Shard
from tests.jobs.commits import interleaving
from tests.jobs.commits.interleaving import Answer, Commit, Direct, Request, World, etag, perform, places

Server = Callable[[Request, World], tuple[World, Answer]]

SOURCE = "source/a.parquet"
NEW, OLD = b"version 2", b"version 1"


def item(version: bytes) -> WorkItem:
    """The work item of the shard while it has this content."""
    return WorkItem(Shard("a.parquet", len(version), etag(version)), None, 1)


def output(version: bytes) -> str:
    """Where the output of this content of the source stands in the world."""
    return f"output_version/{item(version).output}"


def rows(version: bytes) -> bytes:
    """The output that this content of the source gives."""
    return b"rows of " + version


class State(NamedTuple):
    """The world; for each worker the answers that it got; which workers have died."""

    world: World
    answers: tuple[tuple[Answer, ...], ...]
    dead: frozenset[int] = frozenset()

    @property
    def key(self) -> tuple[object, ...]:
        """What tells two states apart."""
        return tuple(sorted(self.world.items())), repr(self.answers), self.dead


@dataclass
class Explorer:
    """Walks through every state that the commits can reach from `world`.

    With `change`, the source gets that content at any time, and workers of that version begin only then. `crashes`:
    each worker may die before each of its requests (so also after the one before).
    """

    commits: Sequence[Commit]
    world: World
    crashes: bool = True
    change: bytes | None = None
    server: Server = perform
    visited: int = 0

    def ends(self) -> Iterator[World]:
        """Every world in which nobody does anything any more. Each state on the way must be truthful, except while
        workers duel with other bytes."""
        waiting = [State(self.world, ((),) * len(self.commits))]
        seen = {waiting[0].key}
        while waiting:
            state = waiting.pop()
            following = list(self._following(state))
            self.visited += 1
            assert truthful(state.world) or self._duel(), state
            if not following:
                yield state.world
            for new in following:
                if new.key not in seen:
                    seen.add(new.key)
                    waiting.append(new)

    def _following(self, state: State) -> Iterator[State]:
        world = state.world
        if self.change is not None and world[SOURCE] != self.change:
            yield state._replace(world={**world, SOURCE: self.change})
        for number, (worker, answers) in enumerate(self._tapes(state)):
            current = worker.item.shard.version == etag(world[SOURCE])
            if number in state.dead or (not answers and not current):
                continue
            request = worker.next_request(answers)
            if request is None:
                continue
            after, answer = self.server(request, world)
            # A lost reply: the request was done, the client asks again, and finds what it wrote itself. Once a worker.
            undisturbed = not any(isinstance(one, FileExistsError) for one in answers)
            heard = [answer, FileExistsError()] if request.conditional and answer == {} and undisturbed else [answer]
            for one in heard:
                told = (*state.answers[:number], (*answers, one), *state.answers[number + 1 :])
                yield state._replace(world=after, answers=told)
            if self.crashes:
                yield state._replace(dead=state.dead | {number})

    def _tapes(self, state: State) -> Iterator[tuple[Commit, tuple[Answer, ...]]]:
        return zip(self.commits, state.answers, strict=True)

    def _duel(self) -> bool:
        return len({commit.content for commit in self.commits if commit.item == self.commits[0].item}) > 1


def planned(world: World) -> tuple[WorkPlan, Direct]:
    """What a driver that starts now finds to do."""
    direct = Direct(world)
    source, output_version = places(direct)
    outputs = set(output_keys(output_version, ".parquet"))
    return Planner(1 << 40, ".parquet").plan(source.shards(), list_names(output_version), outputs, {}), direct


def truthful(world: World) -> bool:
    """Whether what counts as done is there, in full and from the present source, with the rows that it set aside."""
    done = planned(world)[0].done
    return not done or (world[output(world[SOURCE])] == rows(world[SOURCE]) and aside_as_recorded(world, done[0]))


def aside_as_recorded(world: World, done: WorkItem) -> bool:
    """Whether the rows that the record of the work item speaks of are those in its quarantine."""
    record = read_record(places(Direct(world))[1], done.record)
    if record.quarantine is None:
        return True
    there = world.get(f"output_version/{record.quarantine}")
    return there is not None and hashlib.sha256(there).hexdigest() == record.quarantine_sha256


def run_again(world: World, scratch: Path, rejected: bytes | None = None) -> World:
    """An undisturbed run, which tidies up at its end."""
    work, direct = planned(world)
    output_version = places(direct)[1]
    files = {*output_keys(output_version, ".parquet"), *quarantine_keys(output_version)}
    for todo in work.todo:
        Commit(todo, rows(world[SOURCE]), scratch, rejected).run(direct)
    current = {key for item in (*work.todo, *work.done) for key in (item.output, item.quarantine)}
    for key in (*(name.key for name in work.superseded), *(files - current)):
        output_version.delete(key)
    return direct.world


def complete(world: World) -> bool:
    """Whether the output version holds the rows of the present source, one record that says so, what that names, and
    nothing else."""
    _, output_version = places(Direct(world))
    names = list_names(output_version)
    records = [read_record(output_version, name) for name in names]
    named = {f"output_version/{key}" for r in records for key in (r.name.key, r.output, r.quarantine)}
    rest = world.keys() - {SOURCE, *named}
    there = len(world.get(output(world[SOURCE]), b""))
    right = [r.version == etag(world[SOURCE]) and r.output_bytes == there for r in records]
    return right == [True] and truthful(world) and not rest


def done(version: bytes, scratch: Path) -> World:
    """The world after a run over this version."""
    return run_again({SOURCE: version}, scratch)


def test_two_workers_on_one_item(tmp_path: Path) -> None:
    both = [Commit(item(OLD), rows(OLD), tmp_path)] * 2
    explorer = Explorer(both, {SOURCE: OLD})
    ends = list(explorer.ends())
    assert all(complete(run_again(end, tmp_path)) for end in ends)
    assert (explorer.visited, len(ends)) > (300, 20)  # it did walk
    undisturbed = list(Explorer(both, {SOURCE: OLD}, crashes=False).ends())
    assert all(complete(end) for end in undisturbed)


def test_two_workers_on_a_changed_shard(tmp_path: Path) -> None:
    before = {**done(OLD, tmp_path), SOURCE: NEW}
    (todo,) = planned(before)[0].todo
    for crashes in (True, False):
        explorer = Explorer([Commit(todo, rows(NEW), tmp_path)] * 2, before, crashes)
        for end in explorer.ends():
            assert complete(run_again(end, tmp_path))
            assert end[output(OLD)] == rows(OLD)  # readers of the last manifest still have it
            assert crashes or planned(end)[0].done == (todo,)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(("old", "new"), [(None, None), (None, b"bad"), (b"bad", None), (b"bad of old", b"bad of new")])
def test_a_worker_that_sleeps_while_its_shard_changes(
    tmp_path: Path, first: bool, old: bytes | None, new: bytes | None
) -> None:
    before = {SOURCE: OLD} if first else {**done(b"version 0", tmp_path), SOURCE: OLD}
    workers = [
        Commit(item(version), rows(version), tmp_path, rejected) for version, rejected in ((OLD, old), (NEW, new))
    ]
    explorer = Explorer(workers, before, change=NEW)
    for end in explorer.ends():
        assert complete(run_again(end, tmp_path, new))
    assert explorer.visited > 500


def test_rows_set_aside_come_and_go_with_the_shard(tmp_path: Path) -> None:
    soiled = [Commit(item(OLD), rows(OLD), tmp_path, rejected=b"bad rows")] * 2
    for end in Explorer(soiled, {SOURCE: OLD}).ends():
        again = run_again(end, tmp_path, b"bad rows")
        assert again[f"output_version/{item(OLD).quarantine}"] == b"bad rows"
        assert complete(again)
        assert complete(run_again({**end, SOURCE: NEW}, tmp_path))


def test_workers_that_make_other_bytes_of_the_same_input_end_with_one_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two libraries, two kinds of GPU. Without crashes; a crash in the middle of a duel is for `verify` to find."""
    monkeypatch.setattr(product, "_WRITE_CONFLICTS", 2)
    duellists = [Commit(item(OLD), content, tmp_path) for content in (b"rows", b"Rows!")]
    for end in Explorer(duellists, {SOURCE: OLD}, crashes=False).ends():
        output_version = places(Direct(end))[1]
        assert all(
            read_record(output_version, n).output_bytes == len(end[output(OLD)]) for n in list_names(output_version)
        )


def _like_ceph(request: Request, world: World) -> tuple[World, Answer]:
    """A server to which no quoted ETag is that of an object."""
    quoted = request.only_over is not None and request.only_over.startswith('"')
    return (world, FileExistsError()) if quoted and request.key in world else perform(request, world)


def _knowing_no_condition(request: Request, world: World) -> tuple[World, Answer]:
    refused = request.only_over is not None and request.key in world
    return (world, FileExistsError()) if refused else perform(request, world)


@pytest.mark.parametrize("server", [_like_ceph, _knowing_no_condition])
def test_servers_that_take_if_match_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    """What a crash left between output and record, and a changed shard, are done at the first go."""
    sent: list[Request] = []

    def serve(request: Request, world: World) -> tuple[World, Answer]:
        sent.append(request)
        return server(request, world)

    old = done(OLD, tmp_path)
    monkeypatch.setattr(interleaving, "perform", serve)
    for before in ({SOURCE: OLD, output(OLD): rows(OLD)}, {**old, SOURCE: NEW}):
        sent.clear()
        assert complete(run_again(before, tmp_path))
        assert sum(request.key == output(before[SOURCE]) and request.method == "put_object" for request in sent) <= 3


def test_a_worker_that_sleeps_harms_nothing_on_ceph(tmp_path: Path) -> None:
    before = {**done(b"version 0", tmp_path), SOURCE: OLD}
    workers = [Commit(item(v), rows(v), tmp_path) for v in (OLD, NEW)]
    explorer = Explorer(workers, before, change=NEW, server=_like_ceph)
    assert all(complete(run_again(end, tmp_path)) for end in explorer.ends())
    assert explorer.visited > 500
