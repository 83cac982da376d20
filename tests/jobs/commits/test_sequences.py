"""Any history of an output version, with a crash between any two of its writes: feeds, applied once or twice, lead to
what a fresh load gives; kept manifests name what is there, as it was; nobody who globs sees a ghost."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adaptor.errors import InputError, RunError
from jobs.commits import feed_buckets
from jobs.commits.manifest import (
    MANIFEST,
    Manifest,
    OutputFile,
    kept_manifests,
    kept_sequences,
    manifest_key,
    read_manifest,
)
from jobs.commits.sequences import Contents, add_sequence, newest_sequence, sweep
from jobs.commits.version_reader import VersionReader
from jobs.storage.local import LocalObjects
from tests.jobs.commits.histories import (
    DESCRIPTION,
    Crash,
    Dying,
    Rows,
    Store,
    applied,
    loaded,
    run,
    table,
    write_output,
)


def contents(there: LocalObjects, manifest: Manifest) -> Iterator[str]:
    """Digests of the files that a manifest names."""
    yield from (hashlib.sha256(there.read(file.path)).hexdigest() for file in manifest.files)


@st.composite
def histories(draw: st.DrawFn) -> list[Store]:
    """Stores, day by day: rows of unique ids that change, go, move to other shards, or are copied first."""
    days: list[Store] = []
    for _ in range(draw(st.integers(2, 5))):
        where = draw(st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from(["s/1", "s/2", "t"]), max_size=8))
        changed = draw(st.sets(st.sampled_from("abcdefgh"), max_size=3))
        before = {name: value for rows in days[-1].values() for name, value in rows.items()} if days else {}
        store: Store = {}
        for name, shard in where.items():
            value = before.get(name, 1) + (name in changed)
            store.setdefault(shard, {})[name] = value
        copied = draw(st.sampled_from(["", *where]))
        if copied:  # half of a move: the row stands in two shards for a day
            store.setdefault("u", {})[copied] = store[where[copied]][copied]
        days.append(store or {"s/1": {"a": 1}})
    return days


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(days=histories(), crashes=st.lists(st.integers(0, 12), max_size=6), keep=st.integers(1, 4), small=st.booleans())
def test_feeds_lead_to_what_a_fresh_load_gives(
    days: list[Store], crashes: list[int], keep: int, small: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("history")
    with pytest.MonkeyPatch.context() as patch:
        if small:  # several buckets, several rounds
            patch.setattr(feed_buckets, "BUCKET_BYTES", 700)
            patch.setattr(feed_buckets, "ROUND_BUCKETS", 2)
        there, dying = LocalObjects(str(root)), iter(crashes)
        followers: list[tuple[int, Rows]] = []  # a loader that began on each day and comes every day
        old: dict[int, list[str]] = {}
        for store in days:
            for writes in [next(dying, None), next(dying, None)]:
                if writes is not None:
                    with suppress(Crash):
                        run(Dying(str(root), writes), store, keep)
                    check_kept(there, old)
            manifest = run(there, store, keep)
            old[manifest.sequence] = sorted(contents(there, manifest))
            check_kept(there, old)
            reader = VersionReader.open(there)
            truth = loaded(reader)
            assert truth == {name: value for rows in store.values() for name, value in rows.items()}
            assert {info.key for info in there.list("data/")} == {file.path for file in manifest.files}
            assert len(kept_sequences(there)) <= keep
            for number, (checkpoint, rows) in enumerate(followers):
                once = applied(reader, rows, checkpoint)
                assert once == truth
                assert applied(reader, once, checkpoint) == truth  # again, after a crash of the loader
                followers[number] = (manifest.sequence, once)
            assert applied(reader, followers[0][1], manifest.sequence) == truth if followers else True
            followers.append((manifest.sequence, truth))
        if keep > 1:
            assert read_manifest(there).oldest_checkpoint == max(1, read_manifest(there).sequence - keep + 1)


def check_kept(there: LocalObjects, old: dict[int, list[str]]) -> None:
    """Every kept manifest names files that are there, with the bytes that they always had."""
    for manifest in kept_manifests(there):
        found = sorted(contents(there, manifest))
        assert found == sorted(file.sha256 for file in manifest.files)
        assert found == old.setdefault(manifest.sequence, found)
        for feed in manifest.feeds:
            assert manifest.sequence < read_newest(there) or there.stat(feed.path)


def read_newest(there: LocalObjects) -> int:
    """The newest sequence that is kept."""
    return kept_sequences(there)[-1]


@pytest.fixture
def there(tmp_path: Path) -> LocalObjects:
    return LocalObjects(str(tmp_path / "version"))


def test_a_reader_of_an_old_manifest_finds_files_that_moved(there: LocalObjects) -> None:
    (there.root).mkdir()
    run(there, {"a": {"x": 1}, "b": {"y": 1}}, 3)
    reader = VersionReader.open(there)
    run(there, {"a": {"x": 2}}, 3)
    assert loaded(reader) == {"x": 1, "y": 1}
    assert loaded(VersionReader.open(there, 1)) == {"x": 1, "y": 1}
    assert [file.path.split("/")[0] for file in read_manifest(there, 1).files] == ["_superseded"] * 2
    with pytest.raises(InputError, match=r"keeps no sequence 9 \(kept: 1, 2\): give one of these"):
        read_manifest(there, 9)


def test_nothing_new_makes_no_sequence(there: LocalObjects) -> None:
    there.root.mkdir()
    first = run(there, {"a": {"x": 1}}, 3)
    content = there.read(MANIFEST)
    assert run(there, {"a": {"x": 1}}, 3) == first
    assert there.read(MANIFEST) == content
    there.delete(MANIFEST)  # a crash between both copies
    assert newest_sequence(there) == first
    assert there.read(MANIFEST) == content


def test_a_promoted_sequence_is_kept(there: LocalObjects) -> None:
    there.root.mkdir()
    for day in range(1, 6):
        run(there, {"a": {"x": day}}, 9)
    assert sweep(there, 2, {2}) == [1, 3]
    assert kept_sequences(there) == [2, 4, 5]
    assert loaded(VersionReader.open(there, 2)) == {"x": 2}
    assert [feed.sequence for feed in read_manifest(there).feeds] == [5]
    assert {info.key for info in there.list("_feeds/")} == {feed.path for feed in read_manifest(there).feeds}
    assert len(list(there.list("_superseded/"))) == 2


def test_columns_that_come_and_go(there: LocalObjects) -> None:
    """A new payload column changes rows; two that cannot be one column end the feeds, and nothing else."""
    there.root.mkdir()
    rows = {"x": 1, "y": 2}
    for name, column in (("a", None), ("b", pa.array([None, 7])), ("c", pa.array([{"no": 1}, {"number": 2}]))):
        content = table(rows) if column is None else table(rows).append_column("more", column)
        pq.write_table(content, there.root / "tmp")
        output = (there.root / "tmp").read_bytes()
        there.put(f"data/{name}.parquet", output)
        file = OutputFile(
            path=f"data/{name}.parquet",
            rows=2,
            bytes=len(output),
            sha256=hashlib.sha256(output).hexdigest(),
            shard="a",
            source_version=name,
        )
        manifest = add_sequence(there, Contents(description=DESCRIPTION, files=[file]), 5)
    assert [(feed.sequence, feed.upserts, feed.deletes) for feed in manifest.feeds] == [(2, 1, 0)]
    assert (manifest.oldest_checkpoint, manifest.feeds_since(1), manifest.feeds_since(3)) == (3, None, [])


def test_a_manifest_never_names_what_is_not_there(there: LocalObjects) -> None:
    there.root.mkdir()
    file = write_output(there, "a", {"x": 1})
    there.delete(file.path)
    with pytest.raises(RunError, match=r"data/a\.\w+\.parquet is missing or not as recorded"):
        add_sequence(there, Contents(description=DESCRIPTION, files=[file]), 3)


@pytest.mark.parametrize("damage", [b"", b"[]", b"{}", b'{"format": 1}'])
def test_a_damaged_manifest_is_named(there: LocalObjects, damage: bytes) -> None:
    there.root.mkdir()
    with pytest.raises(InputError, match=r"holds no complete output version \(manifest\.json is missing\)"):
        read_manifest(there)
    manifest = run(there, {"a": {"x": 1}}, 3)
    for key in (manifest_key(manifest.sequence), MANIFEST):
        there.put(key, damage)
    with pytest.raises(InputError, match=r"manifests/00000001\.json is not a manifest of this version"):
        newest_sequence(there)


def test_what_a_manifest_says_survives_json(there: LocalObjects) -> None:
    there.root.mkdir()
    run(there, {"a": {"x": 1}}, 3)
    manifest = run(there, {"a": {"x": 2}, "b": {"é": 3}}, 3)
    again: Any = Manifest.from_json(manifest.to_json(), "here")
    assert again == manifest
    assert (manifest.rows, manifest.feeds[0].upserts, manifest.feeds[0].deletes) == (2, 2, 0)
