"""Every interleaving of two commits, with a crash at every point, lost replies and a shard that changes meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

from jobs.compression import commit as product
from jobs.store.ledger import Record, commit, list_names, output_keys, read_record
from jobs.store.objects import ObjectInfo, Objects
from jobs.store.output import Written, publish
from jobs.store.plan import Plan, WorkItem, plan
from jobs.store.shards import Shard, list_shards
from tests.jobs.compression.interleaving import Answer, Commit, Direct, Tape, World, etag, perform, places

SOURCE, OUTPUT, ASIDE = "store/a.parquet", "generation/data/a.parquet", "generation/_quarantine/a.parquet"
NEW, OLD = b"version 2", b"version 1"


def item(version: bytes, stale: tuple[str, ...] = ()) -> WorkItem:
    """The work item of the shard while it has this content."""
    return WorkItem(Shard("a.parquet", len(version), etag(version)), None, 1, stale)


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
            after, answer = perform(request, world)
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


def planned(world: World) -> tuple[Plan, Direct]:
    """What a driver that starts now finds to do."""
    direct = Direct(world)
    store, generation = places(direct)
    recorded = list_names(generation)
    return plan(list_shards(store), recorded, set(output_keys(generation)), {}, 1 << 40), direct


def truthful(world: World) -> bool:
    """Whether what counts as done is there, in full and from the present source."""
    return not planned(world)[0].done or world[OUTPUT] == rows(world[SOURCE])


def run_again(world: World, scratch: Path) -> World:
    """An undisturbed run."""
    work, direct = planned(world)
    for todo in work.todo:
        Commit(todo, rows(world[SOURCE]), scratch).run(direct)
    for key in work.leftovers:
        places(direct)[1].delete(key)
    return direct.world


def complete(world: World) -> bool:
    """Whether the generation holds the rows of the present source, one record that says so, and nothing else."""
    _, generation = places(Direct(world))
    names = list_names(generation)
    records = [read_record(generation, name) for name in names]
    rest = world.keys() - {SOURCE, OUTPUT, *(f"generation/{name.key}" for name in names)}
    right = [r.version == etag(world[SOURCE]) and r.output_bytes == len(world[OUTPUT]) for r in records]
    return right == [True] and world[OUTPUT] == rows(world[SOURCE]) and not rest


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
    assert len(todo.stale_records) == 1
    for crashes in (True, False):
        explorer = Explorer([Commit(todo, rows(NEW), tmp_path)] * 2, before, crashes)
        for end in explorer.ends():
            assert complete(run_again(end, tmp_path))
            assert crashes or complete(end)


@pytest.mark.parametrize("first", [True, False])
def test_a_worker_that_sleeps_while_its_shard_changes(tmp_path: Path, first: bool) -> None:
    before = {SOURCE: OLD} if first else {**done(b"version 0", tmp_path), SOURCE: OLD}
    stale = planned(before)[0].todo[0].stale_records
    workers = [Commit(item(OLD, stale), rows(OLD), tmp_path), Commit(item(NEW, stale), rows(NEW), tmp_path)]
    explorer = Explorer(workers, before, change=NEW)
    for end in explorer.ends():
        assert complete(run_again(end, tmp_path))
    assert explorer.visited > 500


def test_rows_set_aside_come_and_go_with_the_shard(tmp_path: Path) -> None:
    soiled = [Commit(item(OLD), rows(OLD), tmp_path, rejected=b"bad rows")] * 2
    for end in Explorer(soiled, {SOURCE: OLD}).ends():
        assert end.get(ASIDE, b"bad rows") == b"bad rows"
        assert not planned(end)[0].done or ASIDE in end
        assert complete(run_again({**end, SOURCE: NEW}, tmp_path))


def test_workers_that_make_other_bytes_of_the_same_input_end_with_one_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two libraries, two kinds of GPU. Without crashes; a crash in the middle of a duel is for `verify` to find."""
    monkeypatch.setattr(product, "_DUELS", 2)
    duellists = [Commit(item(OLD), content, tmp_path) for content in (b"rows", b"Rows!")]
    for end in Explorer(duellists, {SOURCE: OLD}, crashes=False).ends():
        generation = places(Direct(end))[1]
        assert all(read_record(generation, n).output_bytes == len(end[OUTPUT]) for n in list_names(generation))


def _without_a_condition(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that slept through a change of its shard puts its old rows over the new ones, and dies."""

    def publish_anyway(generation: Objects, key: str, path: Path, written: Written, _seen: object) -> bool:
        publish(generation, key, path, written)
        return True

    monkeypatch.setattr(product, "publish_over", publish_anyway)


def _with_the_record_first(monkeypatch: pytest.MonkeyPatch) -> None:
    run, publish_over = Commit.run, vars(product)["publish_over"]
    records: list[Record] = []

    def run_with(self: Commit, asked: Tape | Direct) -> None:
        records.append(self.record)
        run(self, asked)

    def publish_late(generation: Objects, key: str, path: Path, written: Written, seen: ObjectInfo | None) -> bool:
        commit(generation, records[-1])
        return bool(publish_over(generation, key, path, written, seen))

    monkeypatch.setattr(Commit, "run", run_with)
    monkeypatch.setattr(product, "publish_over", publish_late)


@pytest.mark.parametrize("defect", [_without_a_condition, _with_the_record_first])
def test_the_explorer_finds_defects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, defect: Callable[[pytest.MonkeyPatch], None]
) -> None:
    before = {**done(b"version 0", tmp_path), SOURCE: OLD}
    stale = planned(before)[0].todo[0].stale_records
    workers = [Commit(item(version, stale), rows(version), tmp_path) for version in (OLD, NEW)]
    defect(monkeypatch)
    with pytest.raises(AssertionError):
        list(Explorer(workers, before, change=NEW).ends())
