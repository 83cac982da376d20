"""Any history of an output version, with a crash between any two of its writes: feeds, applied once or twice, lead to
what a fresh load gives; kept manifests name what is there, as it was; nobody who globs sees a ghost."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
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
from jobs.commits.sequences import Contents, add_sequence, newest_sequence, retire_files, sweep
from jobs.commits.version_reader import OP, VersionReader
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
    assert {info.key for info in there.list("_feeds/")} == {"_feeds/00000005.parquet"}
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


def test_an_old_file_that_is_lost_costs_the_feed_and_nothing_else(
    there: LocalObjects, caplog: pytest.LogCaptureFixture
) -> None:
    there.root.mkdir()
    first = run(there, {"a": {"x": 1}, "b": {"y": 1}}, 3)
    there.delete(first.files[0].path)
    second = run(there, {"a": {"x": 2}, "b": {"y": 1}}, 3)
    assert (second.sequence, second.feeds) == (2, [])
    assert "no feed, loaders must load all of it" in caplog.text


@pytest.mark.parametrize("which", ["manifests/00000001.json", MANIFEST])
def test_a_damaged_manifest_holds_nobody_up(there: LocalObjects, which: str) -> None:
    there.root.mkdir()
    for day in (1, 2):
        run(there, {"a": {"x": day}}, 5)
    there.put(which, b"{")
    third = run(there, {"a": {"x": 3}}, 5)
    assert third == read_manifest(there)
    assert kept_sequences(there) == [1, 2, 3]
    assert len(list(there.list("_superseded/"))) == 2  # nothing is deleted that it may name


def test_a_number_is_never_used_twice(there: LocalObjects) -> None:
    """A loader that was at a lost sequence must not take the next one for it."""
    there.root.mkdir()
    for day in (1, 2):
        run(there, {"a": {"x": day}}, 5)
    there.delete("manifests/00000002.json")
    assert run(there, {"a": {"x": 2}}, 5).sequence == 2  # made good from manifest.json
    for lost in ("manifests/00000002.json", MANIFEST):
        there.delete(lost)
    third = run(there, {"a": {"x": 3}}, 5)
    assert (third.sequence, third.feeds_since(2)) == (3, None)


def test_rows_that_swell_cost_the_feed_only(there: LocalObjects, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_buckets, "_MOST_BYTES", 100)
    there.root.mkdir()
    run(there, {"a": {"x": 1}}, 5)
    assert run(there, {"a": {str(row): 1 for row in range(50)}}, 5).feeds == []


def test_old_manifests_do_not_name_feeds_that_are_gone(there: LocalObjects) -> None:
    there.root.mkdir()
    for day in range(1, 6):
        run(there, {"a": {"x": day}}, 2)
    for manifest in kept_manifests(there):
        assert all(there.stat(feed.path) for feed in manifest.feeds)
    assert read_manifest(there, 4).feeds_since(3) is None


def test_a_version_that_comes_back_with_other_bytes_takes_nothing_from_old_manifests(there: LocalObjects) -> None:
    there.root.mkdir()
    digests = {}
    for day, (rows, compression) in enumerate([(1, "none"), (2, "none"), (1, "zstd"), (3, "none")], 1):
        content = pa.BufferOutputStream()
        pq.write_table(table({"x": rows}), content, compression=compression)
        output = content.getvalue().to_pybytes()
        path = f"data/a.{rows:016}.parquet"
        there.put(path, output)
        digest = hashlib.sha256(output).hexdigest()
        file = OutputFile(path=path, rows=1, bytes=len(output), sha256=digest, shard="a", source_version=str(rows))
        manifest = add_sequence(there, Contents(description=DESCRIPTION, files=[file]), 9)
        retire_files(there, {info.key for info in there.list("data/")} - {path})
        digests[day] = [digest]
        assert manifest.sequence == day
    check_kept(there, digests)


def test_an_id_elsewhere_stands_in_the_feed_once(there: LocalObjects) -> None:
    """The row that counts is that of the file that stayed: its last one."""
    there.root.mkdir()
    stayed = write_output(there, "s", {"x": 5, "y": 1})
    twice = pa.concat_tables([table({"x": 4}), table({"x": 5})])
    content = pa.BufferOutputStream()
    pq.write_table(twice, content)
    output = content.getvalue().to_pybytes()
    there.put(stayed.path, output)
    stayed = replace(stayed, rows=2, bytes=len(output), sha256=hashlib.sha256(output).hexdigest())
    gone = write_output(there, "g", {"x": 1, "z": 1})
    for files in ([stayed, gone], [stayed]):
        manifest = add_sequence(there, Contents(description=DESCRIPTION, files=files), 9)
    rows = [row for b in VersionReader.open(there).feed_batches(manifest.feeds[0], 9) for row in b.to_pylist()]
    assert sorted((row[OP], row["id"], row["vector"] and row["vector"][0]) for row in rows) == [
        ("delete", "z", None),
        ("upsert", "x", 5.0),
    ]


@pytest.mark.parametrize("damage", [b"", b"[]", b"{}", b'{"format": 2}'])
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
