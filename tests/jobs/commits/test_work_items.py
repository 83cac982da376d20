"""The plan as arithmetic: whatever was done before, done and to-do together are every row group exactly once."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptor.errors import InputError
from jobs.commits.names import RecordName, RowGroups, output_key, quarantine_key, record_name, source_keys
from jobs.commits.work_items import Planner, WorkPlan, undecided
from jobs.sources.source import Shard, ShardInfo

Cut = dict[str, tuple[int, ...]]  # shard key → bytes of its row groups


def shards_of(cut: Cut, version: str = "1") -> list[Shard]:
    """The shards with these row groups, sorted by key."""
    return [Shard(key, sum(sizes), version) for key, sizes in sorted(cut.items())]


def make(shards: Sequence[Shard], cut: Cut, recorded: Sequence[RecordName], outputs: set[str], split: int) -> WorkPlan:
    """Plan as compress does: only those shards are described that need it."""
    needed = {shard.key for shard in undecided(shards, recorded, split)}
    described = {key: ShardInfo(0, (0,) * len(cut[key]), cut[key], pa.schema([])) for key in needed}
    return Planner(split, ".parquet").plan(shards, recorded, outputs, described)


def covers(work: WorkPlan, cut: Cut) -> bool:
    """Whether done and to-do hold each row group of each shard exactly once."""
    groups: dict[str, list[int]] = {key: [] for key in cut}
    for item in (*work.todo, *work.done):
        run = item.row_groups
        groups[item.shard.key] += range(len(cut[item.shard.key])) if run is None else range(run.start, run.stop)
    return all(sorted(found) == list(range(len(cut[key]))) for key, found in groups.items())


cuts = st.dictionaries(
    st.sampled_from(["a.parquet", "b/c.parquet", "b/d.parquet", "e.parquet"]),
    st.lists(st.integers(1, 50), min_size=1, max_size=8).map(tuple),
    min_size=1,
)


@settings(deadline=None)  # the machine may be busy
@given(cuts, st.lists(st.tuples(st.integers(1, 120), st.sets(st.integers(0, 9))), max_size=5))
def test_interrupted_runs_add_up_to_the_whole(cut: Cut, runs: list[tuple[int, set[int]]]) -> None:
    shards, recorded, outputs = shards_of(cut), list[RecordName](), set[str]()
    for split, finished in [*runs, (1 << 40, set(range(99)))]:
        work = make(shards, cut, recorded, outputs, split)
        assert covers(work, cut)
        assert (work.superseded, work.removed) == ((), ())
        items = [*work.todo, *work.done]
        assert len({item.output for item in items}) == len(items)
        assert [item.input_bytes for item in work.todo] == sorted((i.input_bytes for i in work.todo), reverse=True)
        done = [item for index, item in enumerate(work.todo) if index in finished]
        recorded += [item.record for item in done]
        outputs |= {item.output for item in done}
    assert not make(shards, cut, recorded, outputs, 1 << 40).todo


@settings(deadline=None)  # the machine may be busy
@given(cuts, cuts, st.integers(1, 120), st.integers(1, 120))
def test_a_new_version_replaces_all_of_the_old_one(old: Cut, new: Cut, before: int, after: int) -> None:
    first = make(shards_of(old), old, [], set(), before)
    recorded, outputs = [item.record for item in first.todo], {item.output for item in first.todo}
    work = make(shards_of(new, "2"), new, recorded, outputs, after)
    assert covers(work, new)
    assert not work.done
    current = {key for item in work.todo for key in (item.output, item.quarantine)}
    assert not current & {key for item in first.todo for key in (item.output, item.quarantine)}
    assert set(work.superseded) == {item.record for item in first.todo if item.shard.key in new}
    assert {name.key for name in work.removed} == {i.record.key for i in first.todo if i.shard.key not in new}


@settings(deadline=None)  # the machine may be busy
@given(cuts, st.integers(1, 120), st.integers(1, 120))
def test_two_drivers_with_different_cuts_do_not_double_rows(cut: Cut, one: int, other: int) -> None:
    shards = shards_of(cut)
    both = [*make(shards, cut, [], set(), one).todo, *make(shards, cut, [], set(), other).todo]
    recorded, outputs = list({item.record for item in both}), {item.output for item in both}
    work = make(shards, cut, recorded, outputs, one)
    assert covers(work, cut)
    assert set(work.superseded) == set(recorded) - {item.record for item in (*work.done, *work.todo)}


def test_a_record_without_its_output_does_not_count() -> None:
    cut: Cut = {"a.parquet": (10,), "b.parquet": (10,)}
    names = [record_name(shard, None) for shard in shards_of(cut)]
    one, other = make(shards_of(cut), cut, [], set(), 100).todo
    (item,) = make(shards_of(cut), cut, names, {one.output}, 100).todo
    assert (item.output, item.recorded) == (other.output, True)


def test_versions_do_not_meet() -> None:
    cut: Cut = {"a.parquet": (10, 10), "b.parquet": (10,)}
    old = make(shards_of(cut), cut, [], set(), 10).todo
    new = make(shards_of(cut, "2"), cut, [], set(), 10).todo
    work = make(shards_of(cut, "2"), cut, [i.record for i in (*old, *new)], {i.output for i in (*old, *new)}, 10)
    assert (work.todo, set(work.superseded)) == ((), {item.record for item in old})


def test_a_redone_run_does_not_strike_off_its_neighbours() -> None:
    cut: Cut = {"a.parquet": (10, 10, 10)}
    names = [item.record for item in make(shards_of(cut), cut, [], set(), 10).todo]
    work = make(shards_of(cut), cut, names, set(), 10)
    assert [item.recorded for item in work.todo] == [True] * 3
    assert not work.superseded


@pytest.mark.parametrize("suffix", [".parquet", ".other"])
@pytest.mark.parametrize("key", ["a.parquet", "b/c.rg00000-00003.parquet", "d.rg1.parquet"])
def test_the_source_of_an_output_is_known_by_its_key(key: str, suffix: str) -> None:
    for run in (None, RowGroups(0, 3, 9), RowGroups(100_000, 200_000, 200_000)):
        output = output_key(Shard(key, 5, "1"), run, suffix)
        assert key in source_keys(output, suffix)
        assert key in source_keys(quarantine_key(output, suffix), suffix)


def test_keys_that_would_meet_are_refused() -> None:
    cut: Cut = {"x.parquet": (10, 10), "x.rg00000-00001.parquet": (20,)}  # of one size and version
    with pytest.raises(InputError, match=r"would share the output data/x\.rg00000-00001\.[0-9a-f]+\.parquet: rename"):
        make(shards_of(cut), cut, [], set(), 10)
    assert len(make(shards_of(cut), cut, [], set(), 100).todo) == 2


def test_output_keys_follow_the_shards() -> None:
    shard = Shard("x/y.parquet", 5, "1")
    version = record_name(shard, None).version
    assert output_key(shard, None, ".parquet") == f"data/x/y.{version}.parquet"
    assert output_key(shard, RowGroups(3, 16, 20), ".parquet") == f"data/x/y.rg00003-00016.{version}.parquet"
    assert output_key(shard, None, ".other") == f"data/x/y.parquet.{version}.other"
