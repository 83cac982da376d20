"""What only a source of an fsspec driver can get wrong: missing libraries, and outages that look like an empty
source."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.local import LocalFileSystem

from adaptor.errors import InputError, RunError
from jobs.config.sections import FilesystemOptions
from jobs.storage.objects import Objects
from jobs.storage.open import open_file_or_folder


def _open(uri: str) -> Objects:
    return open_file_or_folder(uri, FilesystemOptions())


@pytest.fixture
def nobody() -> str:
    """An address at which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def test_a_driver_that_connects_at_once_tells_an_outage(nobody: str) -> None:
    with pytest.raises(RunError, match=rf"uri ftp://u@{nobody}/x cannot be opened: .*Connection refused"):
        _open(f"ftp://u@{nobody}/x")


def test_a_server_that_cannot_be_reached_is_not_an_empty_store(nobody: str) -> None:
    with pytest.raises(RunError, match=rf"http://{nobody}/x cannot be listed: Cannot connect"):
        list(_open(f"http://{nobody}/x").list())
    with pytest.raises(RunError, match=rf"http://{nobody}/x: key cannot be looked at: Cannot connect"):
        _open(f"http://{nobody}/x").stat("key")
    with pytest.raises(RunError, match=rf"http://{nobody}: x\.parquet cannot be looked at: Cannot connect"):
        _open(f"http://{nobody}/x.parquet")


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (ImportError("Please install gcsfs"), "cannot be opened: Please install gcsfs: install that Python package"),
        (OSError("Unable to load libjvm: a\ndlopen b"), "load libjvm: a: install Java and .*JAVA_HOME"),
        (TypeError("missing argument: 'token'"), "uri gs://b cannot be opened: missing argument: 'token'"),
        (FileNotFoundError("no such repository"), "uri gs://b cannot be opened: no such repository"),
    ],
)
def test_a_driver_that_cannot_be_made_is_a_matter_of_configuration(
    raised: Exception, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made(*_: Any, **__: Any) -> None:
        raise raised

    monkeypatch.setattr("fsspec.core.url_to_fs", made)
    with pytest.raises(InputError, match=said):
        _open("gs://b")


def test_a_folder_that_cannot_be_listed_is_not_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = _open(f"local://{tmp_path}")
    for key in ("a.parquet", "sub/b.parquet", "gone/c.parquet"):
        objects.put(key, b"1")
    real, problem = LocalFileSystem.ls, OSError(5, "Input/output error")

    def ls(self: LocalFileSystem, path: str, *given: Any, **named: Any) -> Any:
        if path.endswith("/sub"):
            raise problem
        if path.endswith("/gone"):  # while the source was listed
            raise FileNotFoundError(path)
        return real(self, path, *given, **named)

    monkeypatch.setattr(LocalFileSystem, "ls", ls)
    with pytest.raises(RunError, match=r"cannot be listed: .*Input/output error"):
        list(objects.list())
    problem = FileNotFoundError(2, "No such file or directory")
    assert [info.key for info in objects.list()] == ["a.parquet"]


class SSHException(Exception):
    """As that of paramiko: no OSError."""


@pytest.mark.parametrize("raised", [SSHException, ValueError])  # ValueError: a proxy's answer that cannot be parsed
def test_what_a_library_raises_is_an_error_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: type[Exception]
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise raised("Server connection dropped")

    objects = _open(f"local://{tmp_path}")
    for method in ("info", "pipe_file", "put_file", "rm_file"):
        monkeypatch.setattr(LocalFileSystem, method, broken)
    for use in (objects.stat, objects.read, objects.delete, lambda key: objects.put(key, b"1")):
        with pytest.raises(RunError, match=r"key c.* be .*: Server connection dropped"):
            use("key")
