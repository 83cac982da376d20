"""What only a local disk can get wrong: links, leftovers, places that cannot be written."""

from __future__ import annotations

import errno
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from adaptor.errors import InputError, RunError
from jobs.config.sections import FilesystemOptions
from jobs.storage.objects import AbsentError, Objects
from jobs.storage.open import open_file_or_folder, open_objects


def _open(path: Path | str) -> Objects:
    return open_objects(str(path), FilesystemOptions())


def test_file_uris_are_paths(tmp_path: Path) -> None:
    folder = tmp_path / "a b"
    _open(folder.as_uri()).put("x", b"1")
    assert (folder / "x").read_bytes() == b"1"


def test_relative_paths_do_not_follow_a_later_chdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    objects = _open("source")
    monkeypatch.chdir("/")
    objects.put("x", b"1")
    assert (tmp_path / "source" / "x").exists()


def test_linked_folders_are_listed_and_loops_end(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "b.parquet").write_bytes(b"1")
    source = tmp_path / "source"
    source.mkdir()
    (source / "linked").symlink_to(tmp_path / "elsewhere")
    (source / "loop").symlink_to(source)
    (source / "dangling.parquet").symlink_to(tmp_path / "nothing")
    (source / "itself.parquet").symlink_to("itself.parquet")
    assert [info.key for info in _open(source).list()] == ["linked/b.parquet"]
    assert _open(source).stat("itself.parquet") is None
    with pytest.raises(AbsentError, match=r"itself\.parquet does not exist"):
        _open(source).read("itself.parquet")
    assert list(_open(source / "itself.parquet").list()) == []
    with pytest.raises(InputError, match=r"out is not writable: .*Too many levels of symbolic links; give"):
        _open(source / "itself.parquet" / "out").check_writable()


def test_an_entry_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "far").symlink_to("a" * 300)
    with pytest.raises(InputError, match="far cannot be read: File name too long; make it readable or remove it"):
        list(_open(tmp_path).list())


def test_a_uri_of_one_file_looks_at_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "far").symlink_to("a" * 300)  # whoever lists the folder meets an error
    (tmp_path / "q.parquet").write_bytes(b"1")
    objects = open_file_or_folder(str(tmp_path / "q.parquet"), FilesystemOptions())
    assert list(objects.list()) == list(objects.list("q.p")) == [objects.stat("q.parquet")]
    assert list(objects.list("p")) == []
    (tmp_path / "q.parquet").unlink()
    assert list(objects.list()) == []


def test_nothing_is_changed_behind_a_link_that_leads_out(tmp_path: Path) -> None:
    outside, local = tmp_path / "outside", tmp_path / "local"
    outside.mkdir()
    (outside / "a.parquet").write_bytes(b"theirs")
    local.write_bytes(b"ours")
    (tmp_path / "real").mkdir()
    (tmp_path / "output").symlink_to(tmp_path / "real")  # the output itself may be one
    objects = _open(tmp_path / "output")
    objects.put("data/kept/b.parquet", b"ours")
    (tmp_path / "real/data/part").symlink_to(outside)
    (tmp_path / "real/data/a.parquet").symlink_to(outside / "a.parquet")
    for change in (
        lambda key: objects.put(key, b"ours"),
        lambda key: objects.put_new(key, b"ours"),
        lambda key: objects.put_file(key, local),
        objects.delete,
    ):
        with pytest.raises(InputError, match=r"data/part/a\.parquet lies behind a link that leads out of"):
            change("data/part/a.parquet")
    objects.put("data/a.parquet", b"ours")  # a link in place of the file is replaced, not followed
    assert [(path.name, path.read_bytes()) for path in outside.iterdir()] == [("a.parquet", b"theirs")]
    assert objects.read("data/a.parquet") == b"ours"


def test_an_interrupted_write_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = _open(tmp_path)
    objects.put("x", b"old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("jobs.storage.local.os.fsync", full)
    with pytest.raises(RunError, match="x could not be written: No space left on device"):
        objects.put("x", b"new")
    assert os.listdir(tmp_path) == ["x"]
    assert objects.read("x") == b"old"


def test_a_file_on_the_same_disk_is_not_copied(tmp_path: Path) -> None:
    local = tmp_path / "local"
    local.write_bytes(b"vectors")
    os.utime(local, ns=(0, 0))
    objects = _open(tmp_path / "output")
    for _ in range(2):  # onto itself, too
        objects.put_file("data/a", local)
    assert os.stat(tmp_path / "output/data/a").st_ino == os.stat(local).st_ino
    info = objects.stat("data/a")
    assert info is not None
    assert int(info.version) > 0  # another version than any before, though the file was made earlier
    assert os.listdir(tmp_path / "output/data") == ["a"]
    local.unlink()
    assert objects.read("data/a") == b"vectors"


def test_a_file_on_another_disk_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def elsewhere(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr("jobs.storage.local.os.link", elsewhere)
    (tmp_path / "local").write_bytes(b"vectors")
    objects = _open(tmp_path / "output")
    objects.put_file("data/a", tmp_path / "local")
    assert objects.read("data/a") == b"vectors"
    assert os.stat(tmp_path / "output/data/a").st_ino != os.stat(tmp_path / "local").st_ino
    assert os.listdir(tmp_path / "output/data") == ["a"]


def test_a_link_that_comes_to_nothing_leaves_the_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("jobs.storage.local.os.utime", refused)  # after the link has been made
    (tmp_path / "local").write_bytes(b"vectors")
    objects = _open(tmp_path / "output")
    objects.put_file("a", tmp_path / "local")
    (tmp_path / "local").write_bytes(b"others!")
    assert objects.read("a") == b"vectors"


@pytest.mark.parametrize("where", ["output", "scratch"])
@pytest.mark.parametrize("how", ["group", "access list"])
def test_rights_that_folders_hand_down_are_those_of_the_output(tmp_path: Path, how: str, where: str) -> None:
    for name in ("output", "scratch"):
        (tmp_path / name).mkdir()
    folder = tmp_path / where
    if how == "group":
        os.chown(folder, -1, 12345) if os.geteuid() == 0 else pytest.skip("only root may give a folder to any group")
        folder.chmod(0o2755)
    else:
        # Version 2, then tag, permissions and id: of the owner, of user 4242, of the group, the mask, all others.
        entries = ((1, 6, 2**32 - 1), (2, 6, 4242), (4, 4, 2**32 - 1), (16, 6, 2**32 - 1), (32, 0, 2**32 - 1))
        packed = b"".join(struct.pack("<HHI", *entry) for entry in entries)
        try:
            os.setxattr(folder, "system.posix_acl_default", struct.pack("<I", 2) + packed)
        except OSError:
            pytest.skip("this disk knows no access lists")
    (tmp_path / "scratch/local").write_bytes(b"vectors")
    objects = _open(tmp_path / "output")
    objects.put_file("a", tmp_path / "scratch/local")
    (tmp_path / "output/beside").write_bytes(b"")
    made, beside = os.stat(tmp_path / "output/a"), os.stat(tmp_path / "output/beside")
    assert (made.st_gid, made.st_mode) == (beside.st_gid, beside.st_mode)
    assert os.listxattr(tmp_path / "output/a") == os.listxattr(tmp_path / "output/beside")
    assert made.st_ino != os.stat(tmp_path / "scratch/local").st_ino
    assert objects.read("a") == b"vectors"


def test_leftovers_of_a_kill_are_not_listed(tmp_path: Path) -> None:
    (tmp_path / ".tmp-0123").write_bytes(b"half")
    assert list(_open(tmp_path).list()) == []


def test_output_below_a_file_is_not_writable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match=r"output .*file/out is not writable: .*Not a directory"):
        _open(tmp_path / "file" / "out").check_writable()


@pytest.fixture
def not_root() -> Iterator[None]:
    """Root may write anywhere: be somebody else for the length of the test."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    yield
    os.seteuid(before)


@pytest.mark.usefixtures("not_root")
def test_places_without_permission(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp()
    if os.geteuid() != 65534:
        folder = tmp_path_factory.mktemp("locked")
        folder.chmod(0)
    with pytest.raises(InputError, match=r"is not writable: .*Permission denied"):
        _open(folder / "out").check_writable()
    with pytest.raises(InputError, match=r"a cannot be read: Permission denied"):
        _open(folder).read("a")
    with pytest.raises(InputError, match=r"source cannot be read: Permission denied"):
        list(_open(folder / "source").list())


def test_output_on_a_read_only_filesystem_is_not_writable() -> None:
    with pytest.raises(InputError, match="output /proc/matryoshka is not writable"):
        _open("/proc/matryoshka").check_writable()


def test_a_file_in_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"")
    with pytest.raises(InputError, match="is a file, not a folder"):
        list(_open(tmp_path / "source").list())


def test_unknown_scheme() -> None:
    with pytest.raises(InputError, match=r"uri nosuch://x cannot be opened"):
        _open("nosuch://x")


_CROWD = """
import sys, time
from jobs.config.sections import FilesystemOptions
from jobs.storage.open import open_file_or_folder, open_objects
objects, end, count = open_objects(sys.argv[1], FilesystemOptions()), time.monotonic() + 1.5, 0
while time.monotonic() < end:
    objects.put("_attempts/one", b"1")
    list(objects.list("_attempts/"))
    objects.delete("_attempts/one")
    count += 1
print(count)
"""


def test_a_folder_that_others_empty_may_be_written_and_listed(tmp_path: Path, root: Path) -> None:
    command = [sys.executable, "-c", _CROWD, str(tmp_path / "output")]
    crowd = [
        subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for process in crowd:
        said, problem = process.communicate(timeout=60)
        assert (process.returncode, problem) == (0, "")
        assert int(said) > 20


def test_what_is_no_file_is_not_listed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_bytes(b"1")
    assert [info.key for info in _open(tmp_path).list()] == ["b.parquet"]
    assert _open(tmp_path).stat("a.parquet") is None
