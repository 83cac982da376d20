"""The same behaviour on local disk and on a real S3 server."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from adaptor.errors import InputError
from jobs.config.sections import FilesystemOptions
from jobs.storage.objects import Objects
from jobs.storage.open import open_file_or_folder, open_objects
from tests.s3_server import S3Server


@pytest.fixture(params=["local", "s3", "memory", "fsspec"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, FilesystemOptions]:
    """A uri below which nothing is, and the options that reach it."""
    if request.param == "local":
        return str(tmp_path / "a b" / "zürich"), FilesystemOptions()
    if request.param == "memory":
        return f"memory://{tmp_path.name}/prefix", FilesystemOptions()
    if request.param == "fsspec":  # a source with folders, as sftp:// is
        return f"local://{tmp_path}/a b/zürich", FilesystemOptions()
    server: S3Server = request.getfixturevalue("s3")
    return f"{request.getfixturevalue('bucket')}/a b/zürich", server.options


@pytest.fixture
def objects(place: tuple[str, FilesystemOptions]) -> Objects:
    return open_objects(*place)


def test_list_is_sorted_and_complete(objects: Objects) -> None:
    assert list(objects.list()) == []
    keys = ["b/two.parquet", "a.parquet", "b/one two.parquet", "c/ünï.parquet", "b.parquet", "b-x/y.parquet"]
    for key in keys:
        objects.put(key, key.encode())
    assert [info.key for info in objects.list()] == sorted(keys)
    assert [info.key for info in objects.list("b/")] == ["b/one two.parquet", "b/two.parquet"]
    assert [info.key for info in objects.list("b")] == sorted(key for key in keys if key.startswith("b"))
    assert list(objects.list("absent/")) == []
    assert all(info == objects.stat(info.key) for info in objects.list())
    assert {info.key: info.size for info in objects.list()} == {key: len(key.encode()) for key in keys}


def test_listing_is_fresh(objects: Objects) -> None:
    objects.put("a", b"1")
    assert [info.key for info in objects.list()] == ["a"]
    objects.put("b", b"1")
    assert [info.key for info in objects.list()] == ["a", "b"]


def test_version_changes_with_the_content(objects: Objects) -> None:
    objects.put("key", b"one")
    before = objects.stat("key")
    assert before == objects.stat("key")
    objects.put("key", b"two")
    assert objects.stat("key") != before
    assert objects.read("key") == b"two"


def test_stat_and_read_of_what_is_absent(objects: Objects) -> None:
    assert objects.stat("absent") is None
    objects.put("folder/key", b"1")
    assert objects.stat("folder") is None
    with pytest.raises(InputError, match="absent does not exist"):
        objects.read("absent")


def test_read_refuses_what_is_too_large(objects: Objects) -> None:
    objects.put("key", b"12345")
    assert objects.read("key", limit=5) == b"12345"
    with pytest.raises(InputError, match=r"key .*(larger than 4|more than the 4)"):
        objects.read("key", limit=4)


def test_delete_of_present_and_absent(objects: Objects) -> None:
    objects.put("key", b"1")
    objects.delete("key")
    objects.delete("key")
    objects.delete("no/such/folder/key")
    assert objects.stat("key") is None


def test_put_new_creates_once(objects: Objects) -> None:
    assert objects.put_new("ledger/a.json", b"mine")
    assert not objects.put_new("ledger/a.json", b"theirs")
    assert objects.read("ledger/a.json") == b"mine"


def test_put_new_repeated_after_a_lost_reply_succeeds(objects: Objects) -> None:
    assert objects.put_new("key", b"mine")
    assert objects.put_new("key", b"mine")


@pytest.mark.parametrize("place", ["local", "s3"], indirect=True)
def test_put_new_has_one_winner(place: tuple[str, FilesystemOptions]) -> None:
    start, wins = threading.Barrier(8), []

    def race(number: int) -> None:
        mine = open_objects(*place)
        start.wait()
        if mine.put_new("marker", f"writer {number}".encode()):
            wins.append(number)

    threads = [threading.Thread(target=race, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wins) == 1
    assert open_objects(*place).read("marker") == f"writer {wins[0]}".encode()


def test_put_file_replaces(objects: Objects, tmp_path: Path) -> None:
    local = tmp_path / "scratch file"
    for content in (b"first", b"second one", b""):
        local.write_bytes(content)
        objects.put_file("out/file.parquet", local)
        assert objects.read("out/file.parquet") == content
        assert [info.key for info in objects.list()] == ["out/file.parquet"]


def test_replace_file_replaces_what_was_seen_and_nothing_else(objects: Objects, tmp_path: Path) -> None:
    local = tmp_path / "scratch file"
    local.write_bytes(b"mine")
    assert objects.replace_file("a", local, None)
    seen = objects.stat("a")
    assert not objects.replace_file("a", local, None)
    objects.put("a", b"theirs, later")
    assert not objects.replace_file("a", local, seen)
    assert objects.read("a") == b"theirs, later"
    assert objects.replace_file("a", local, objects.stat("a"))
    assert objects.read("a") == b"mine"
    seen = objects.stat("a")
    objects.delete("a")
    assert not objects.replace_file("a", local, seen)
    assert objects.stat("a") is None


def test_arrow_reads_the_same_bytes(objects: Objects) -> None:
    objects.put("b c/ü.parquet", b"0123456789")
    with objects.arrow.open_input_file(objects.path("b c/ü.parquet")) as file:
        assert file.read_at(3, 4) == b"456"


@pytest.mark.parametrize("key", ["../up", "a/../../b", "/abs", "a//b", "", ".", "a/", "a\0b"])
def test_keys_never_leave_the_prefix(objects: Objects, key: str) -> None:
    for use in (objects.stat, objects.read, objects.path, objects.delete, lambda key: objects.put(key, b"")):
        with pytest.raises(InputError, match="plain relative path"):
            use(key)


def test_check_writable_leaves_nothing(objects: Objects) -> None:
    objects.check_writable()
    assert list(objects.list()) == []


def test_a_uri_of_one_parquet_file_shows_only_it(objects: Objects, place: tuple[str, FilesystemOptions]) -> None:
    for key in ("queries.parquet", "other.parquet", "part.parquet/a.parquet"):
        objects.put(key, key.encode())
    uri, options = place
    one = open_file_or_folder(f"{uri}/queries.parquet", options)
    assert [info.key for info in one.list()] == ["queries.parquet"]
    folder = open_file_or_folder(f"{uri}/part.parquet", options)
    assert [info.key for info in folder.list()] == ["a.parquet"]
