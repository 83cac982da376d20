"""Manifests and files that are lost, damaged or in the way of another run: nothing else is lost with them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adaptor.errors import InputError
from jobs.commits import feed_buckets
from jobs.commits.manifest import MANIFEST, OutputFile, kept_manifests, kept_sequences, read_manifest
from jobs.commits.sequences import Contents, add_sequence, retire_files, sweep
from jobs.commits.version_reader import OP, VersionReader
from jobs.storage.local import LocalObjects
from tests.jobs.commits.histories import DESCRIPTION, run, table, write_output
from tests.jobs.commits.test_sequences import check_kept


@pytest.fixture
def there(tmp_path: Path) -> LocalObjects:
    return LocalObjects(str(tmp_path / "version"))


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
    there_still = {info.key for folder in ("_superseded/", "data/") for info in there.list(folder)}
    assert len(there_still) == 3  # nothing is deleted that it may name


def test_a_feed_whose_manifest_is_to_come_is_left_alone(there: LocalObjects) -> None:
    there.root.mkdir()
    for day in range(1, 4):
        run(there, {"a": {"x": day}}, 2)
    there.put("_feeds/00000004.abcdabcd.parquet", b"of a run beside this one")
    there.put("_feeds/00000003.abcdabcd.parquet", b"of one that came second")
    sweep(there, 2, ())
    kept = [info.key for info in there.list("_feeds/")]
    assert kept == [read_manifest(there).feeds[0].path, "_feeds/00000004.abcdabcd.parquet"]


def test_a_later_format_is_not_called_damaged(there: LocalObjects) -> None:
    there.root.mkdir()
    run(there, {"a": {"x": 1}}, 2)
    there.put(MANIFEST, b'{"format": 2}')
    with pytest.raises(InputError, match=r"has format 2, this version reads 1: use the newer one"):
        read_manifest(there)


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
