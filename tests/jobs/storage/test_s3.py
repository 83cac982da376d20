"""What only S3 can get wrong: multipart uploads, lost replies, credentials, absent buckets. Against a real server."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from adaptor.errors import InputError, RunError
from jobs.config.sections import FilesystemOptions, SourceSection
from jobs.sources.source import Shard, open_source
from jobs.storage import s3 as objects_s3
from jobs.storage.open import open_objects
from jobs.storage.s3 import S3Objects
from tests.s3_server import SECRET_KEY, S3Server

_PART = 5 << 20


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of three parts (the last one short), with parts at S3's smallest size."""
    monkeypatch.setattr(objects_s3, "PART_BYTES", _PART)
    local = tmp_path / "large.bin"
    local.write_bytes(bytes(range(256)) * ((2 * _PART) // 256) + b"the end")
    return local


def _objects(bucket: str, s3: S3Server) -> S3Objects:
    return S3Objects(f"{bucket}/prefix", s3.options)


def _open_uploads(objects: S3Objects) -> list[Any]:
    answer = objects._client.call_s3("list_multipart_uploads", Bucket=objects.bucket)
    return list(answer.get("Uploads", []))


def test_large_files_go_up_in_parts(bucket: str, s3: S3Server, large: Path) -> None:
    objects = _objects(bucket, s3)
    objects.put_file("large", large)
    info = objects.stat("large")
    assert info is not None
    assert info.version.endswith("-3")
    assert objects.read("large") == large.read_bytes()
    assert _open_uploads(objects) == []


def test_large_files_replace_what_was_seen_and_nothing_else(bucket: str, s3: S3Server, large: Path) -> None:
    objects = _objects(bucket, s3)
    assert objects.replace_file("large", large, None)
    seen = objects.stat("large")
    assert not objects.replace_file("large", large, None)
    assert objects.replace_file("large", large, seen)
    objects.put("large", b"theirs, later")
    assert not objects.replace_file("large", large, seen)
    objects.delete("large")
    assert not objects.replace_file("large", large, seen)
    assert list(objects.list()) == []
    assert _open_uploads(objects) == []


def test_conflicts_are_waited_for_and_not_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """409: another conditional write of the key is under way."""
    objects, local = S3Objects("s3://bucket", FilesystemOptions(attempts=4)), tmp_path / "local"
    local.write_bytes(b"mine")
    conflicts, pauses = iter((True, True, False)), list[float]()

    def conflicting(method: str, key: str | None = None, **fields: Any) -> Any:
        if next(conflicts):
            raise BlockingIOError
        return {}

    monkeypatch.setattr(objects, "_request", conflicting)
    monkeypatch.setattr("jobs.storage.s3.time", SimpleNamespace(sleep=pauses.append))  # others sleep, too
    assert objects.replace_file("a", local, None)
    assert 0 < pauses[0] < pauses[1]
    for write in (partial(objects.replace_file, "a", local, None), partial(objects.put_new, "a", b"mine")):
        pauses.clear()
        conflicts = iter([True] * 4)
        with pytest.raises(RunError, match=r"s3://bucket/a could not be written in 4 attempts \(conflicts\)"):
            write()
        assert len(pauses) == 4


@pytest.mark.parametrize("failure", [RunError("broken"), KeyboardInterrupt()])
def test_an_exception_in_mid_upload_leaves_no_object(
    bucket: str, s3: S3Server, large: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    objects = _objects(bucket, s3)
    request = objects._request

    def breaks(method: str, key: str | None = None, **fields: Any) -> Any:
        if method == "upload_part" and fields["PartNumber"] == 2:
            raise failure
        return request(method, key, **fields)

    monkeypatch.setattr(objects, "_request", breaks)
    with pytest.raises(type(failure)):
        objects.put_file("large", large)
    assert list(objects.list()) == []
    assert _open_uploads(objects) == []


def test_listing_goes_on_after_the_first_page(bucket: str, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = _objects(bucket, s3)
    keys = [f"part/{number}" for number in range(5)]
    for key in keys:
        objects.put(key, b"1")
    objects._client.call_s3("put_object", Bucket=objects.bucket, Key="prefix/part/marker/", Body=b"")
    request, pages = objects._request, []

    def small_pages(method: str, key: str | None = None, **fields: Any) -> Any:
        pages.append(method)
        return request(method, key, **fields, MaxKeys=2)

    monkeypatch.setattr(objects, "_request", small_pages)
    assert [info.key for info in objects.list("part/")] == keys
    assert len(pages) >= 3


class _LosesReplies:
    """A TCP relay before the server that swallows the first reply to a matching request, after the server sent it."""

    def __init__(self, endpoint: str, match: bytes) -> None:
        host, port = endpoint.removeprefix("http://").split(":")
        self._server, self._match, self.lost = (host, int(port)), match, 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        armed = threading.Event()
        with client, socket.create_connection(self._server) as server:
            threading.Thread(target=self._forward, args=(client, server, armed), daemon=True).start()
            while data := server.recv(1 << 16):
                if armed.is_set() and not data.startswith(b"HTTP/1.1 100") and self.lost == 0:
                    self.lost += 1
                    client.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(data)

    def _forward(self, client: socket.socket, server: socket.socket, armed: threading.Event) -> None:
        try:
            while data := client.recv(1 << 16):
                if self._match in data:
                    armed.set()
                server.sendall(data)
        except OSError:
            pass

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def relay(request: pytest.FixtureRequest, s3: S3Server) -> Iterator[_LosesReplies]:
    relay = _LosesReplies(s3.endpoint, request.param)
    yield relay
    relay.close()


@pytest.mark.parametrize("relay", [b"If-None-Match: *"], indirect=True)
def test_put_new_with_a_lost_reply_is_a_win(bucket: str, relay: _LosesReplies) -> None:
    objects = S3Objects(bucket, FilesystemOptions(endpoint=relay.endpoint, attempts=4))
    assert objects.put_new("marker", b"mine")
    assert relay.lost == 1
    assert not objects.put_new("marker", b"theirs")


@pytest.mark.parametrize("relay", [b"GET /"], indirect=True)
def test_reading_through_a_lost_reply(bucket: str, s3: S3Server, relay: _LosesReplies) -> None:
    S3Objects(bucket, s3.options).put("a", b"12345")
    assert S3Objects(bucket, FilesystemOptions(endpoint=relay.endpoint, attempts=4)).read("a") == b"12345"
    assert relay.lost == 1


@pytest.mark.parametrize("relay", [b"<CompleteMultipartUpload"], indirect=True)
def test_completion_with_a_lost_reply_is_complete(bucket: str, relay: _LosesReplies, large: Path) -> None:
    objects = S3Objects(bucket, FilesystemOptions(endpoint=relay.endpoint, attempts=4))
    objects.put_file("large", large)
    assert relay.lost == 1
    assert objects.read("large") == large.read_bytes()


def test_wrong_secret_is_refused_without_showing_it(bucket: str, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    _objects(bucket, s3).put("a.parquet", b"PAR1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrongsecret9876")
    objects = _objects(bucket, s3)
    source = open_source(SourceSection(uri=objects.uri, filesystem=s3.options))
    shard = Shard("a.parquet", 4, "")
    for use in (
        source.shards,
        lambda: objects.read("a.parquet"),
        lambda: objects.stat("a.parquet"),
        lambda: objects.put("b", b""),
        lambda: objects.put_new("b", b""),
        lambda: objects.delete("a.parquet"),
        lambda: source.describe(shard),
        objects.check_writable,
    ):
        with pytest.raises(InputError) as caught:
            use()
        assert bucket in str(caught.value)
        assert "wrongsecret" not in str(caught.value)
        assert SECRET_KEY not in str(caught.value)


def test_no_credentials_says_where_they_come_from(
    bucket: str, s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(InputError, match="set AWS_ACCESS_KEY_ID"):
        _objects(bucket, s3).stat("a")


def test_anonymous_requests_are_unsigned(bucket: str, s3: S3Server) -> None:
    objects = S3Objects(bucket, s3.options.model_copy(update={"credentials": "anonymous"}))
    with pytest.raises(InputError, match=r"refused \((AccessDenied|403)\)"):
        list(objects.list())


def test_missing_bucket(bucket: str, s3: S3Server) -> None:
    objects = S3Objects(f"{bucket}-absent/prefix", s3.options)
    source = open_source(SourceSection(uri=objects.uri, filesystem=s3.options))
    for use in (source.shards, lambda: objects.put("a", b""), objects.check_writable):
        with pytest.raises(InputError, match=r"bucket test-\w+-absent does not exist"):
            use()


@pytest.mark.parametrize("uri", ["s3://", "s3:///prefix", "s3://key:secret@bucket/prefix", "s3://bucket/a/../b"])
def test_uris_that_name_no_prefix(uri: str) -> None:
    with pytest.raises(InputError) as caught:
        open_objects(uri, FilesystemOptions())
    assert "secret" not in str(caught.value)


def test_endpoint_must_be_an_address(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "localhost:8333")
    with pytest.raises(InputError, match=r"AWS_ENDPOINT_URL must be http://host:port .*, got 'localhost:8333'"):
        S3Objects(bucket, FilesystemOptions()).stat("a")


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"AWS_PROFILE": "nobody"}, r"profile \(nobody\) could not be found: correct the AWS settings"),
        ({"AWS_SECRET_ACCESS_KEY": ""}, r"Partial credentials found in env.*: correct the AWS settings"),
        ({"AWS_REGION": "a b/c"}, r"does ?n[o']t match a supported format.*: correct the AWS settings"),
    ],
)
def test_a_wrong_configuration_of_aws_is_no_outage(
    variables: dict[str, str], said: str, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ({"AWS_ACCESS_KEY_ID": "key"} | variables).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=said):
        S3Objects(bucket, FilesystemOptions()).stat("a")


def test_endpoint_from_the_environment(bucket: str, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint)
    objects = S3Objects(bucket, FilesystemOptions())
    objects.put("a", b"12")
    with objects.arrow.open_input_file(objects.path("a")) as file:
        assert file.read() == b"12"


@pytest.mark.parametrize("checksums", ["when_required", "when_supported"])
def test_checksum_settings_stay_with_the_user(
    bucket: str, s3: S3Server, monkeypatch: pytest.MonkeyPatch, large: Path, checksums: str
) -> None:
    monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", checksums)
    objects = _objects(bucket, s3)
    assert objects._client.s3.meta.config.request_checksum_calculation == checksums
    objects.put_file("large", large)
    assert objects.put_new("new", b"1")
    assert objects.read("large") == large.read_bytes()
