"""What an export does next, from what the target remembers: plain arithmetic on manifests."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptor.errors import InputError
from jobs.commits.manifest import Feed, Manifest, OutputFile
from jobs.export.loading import ordered_files
from jobs.export.planning import Plan, PlanOptions, make_plan
from jobs.export.state import State

STAMP = {"adaptor_id": "a" * 64, "vectors": {"vector": "d8-int8"}}


def manifest(sequence: int, oldest: int = 1) -> Manifest:
    """A manifest whose feeds lead from `oldest` to `sequence`."""
    feeds = [
        Feed(sequence=number, path=f"{number}", upserts=1, deletes=1, bytes=1, sha256="")
        for number in range(oldest + 1, sequence + 1)
    ]
    return Manifest(sequence=sequence, created="", description={}, source_snapshot=None, files=[], feeds=feeds)


def plan(state: State | None, sequence: int, oldest: int = 1, kept: tuple[int, ...] = (), **options: bool) -> Plan:
    return make_plan(manifest(sequence, oldest), STAMP, state, kept, PlanOptions(**options))


def done(sequence: int) -> State:
    return State(stamp=STAMP, sequence=sequence)


def begun(sequence: int, files: int = 2) -> State:
    return State(stamp=STAMP, sequence=sequence, files_loaded=files)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 12))
def test_what_is_loaded_is_followed_by_exactly_the_feeds_behind_it(sequence: int, oldest: int, at: int) -> None:
    oldest = min(oldest, sequence)
    if oldest <= at <= sequence:
        made = plan(done(at), sequence, oldest)
        assert (made.full, [feed.sequence for feed in made.feeds]) == (None, [*range(at + 1, sequence + 1)])
    else:
        with pytest.raises(InputError, match="later than" if at > sequence else "it needs a full load"):
            plan(done(at), sequence, oldest)
        again = plan(done(at), sequence, oldest, replace=True)
        assert (again.full, again.state, again.feeds) == (sequence, None, [])


def test_an_empty_target_is_loaded_and_a_begun_one_goes_on() -> None:
    assert plan(None, 3).full == 3
    same = plan(begun(3), 3)
    assert (same.full, same.state, same.feeds) == (3, begun(3), [])
    older = plan(begun(2), 4, kept=(2, 3, 4))
    assert (older.full, older.state, [feed.sequence for feed in older.feeds]) == (2, begun(2), [3, 4])


@pytest.mark.parametrize(("oldest", "kept"), [(1, (3, 4)), (3, (2, 3, 4))], ids=["manifest gone", "feeds gone"])
def test_a_begun_load_that_cannot_go_on_starts_again(oldest: int, kept: tuple[int, ...]) -> None:
    made = plan(begun(2), 4, oldest, kept)
    assert (made.full, made.state) == (4, None)
    assert "is replaced by a new one" in made.note


def test_replace_leaves_alone_what_can_go_on() -> None:
    assert plan(done(2), 3, replace=True).full is None
    assert plan(begun(3), 3, replace=True).state == begun(3)
    assert plan(begun(2), 3, kept=(2, 3), replace=True).state is None


def test_a_target_that_is_made_anew_needs_no_feeds() -> None:
    assert plan(done(4), 4, 4, whole=True).full is None
    for state in (done(1), done(9), begun(4)):
        assert plan(state, 4, 4, whole=True).full == 4


@pytest.mark.parametrize("change", [{"adaptor_id": "b" * 64}, {"vectors": {"vector": "d8-int4"}}])
def test_other_vectors_are_refused_by_name(change: dict[str, Any]) -> None:
    state = State(stamp=STAMP | change, sequence=2)
    with pytest.raises(InputError, match=rf"an export with other {next(iter(change))} .* \(now .*--replace true"):
        plan(state, 2)
    assert plan(state, 2, replace=True).full == 2


def test_the_order_of_files_does_not_depend_on_where_they_are() -> None:
    def file(shard: str, folder: str, digest: str) -> OutputFile:
        return OutputFile(path=f"{folder}/{digest}", rows=1, bytes=1, sha256=digest, shard=shard, source_version="")

    before = [file("b", "data", "1"), file("a", "data", "2"), file("b", "data", "0")]
    moved = [file("a", "data", "2"), file("b", "_superseded", "0"), file("b", "data", "1")]
    orders = [
        [entry.sha256 for entry in ordered_files(Manifest(**{**vars(manifest(1)), "files": files}))]
        for files in (before, moved)
    ]
    assert orders[0] == orders[1] == ["2", "0", "1"]


@pytest.mark.parametrize("text", ["", "{}", '{"stamp": {}, "sequence": 0}', '{"stamp": {}, "sequence": 1, "x": 1}'])
def test_a_damaged_note_is_an_input_error(text: str) -> None:
    with pytest.raises(InputError, match="table t holds a damaged or newer note"):
        State.from_json(text, "table t")
    assert State.from_json(begun(3).to_json(), "") == begun(3)
