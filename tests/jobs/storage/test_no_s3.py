"""Addresses behind which there is no S3 server, but something that speaks HTTP, or nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from adaptor.errors import InputError, RunError
from jobs.config.sections import FilesystemOptions, SourceSection
from jobs.sources.source import Shard, open_source
from jobs.storage.s3 import S3Objects


@contextmanager
def answering(status: int) -> Iterator[S3Objects]:
    """A web server that gives this answer to every request, as a source."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _answer

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    options = FilesystemOptions(endpoint=f"http://127.0.0.1:{server.server_port}", attempts=2)
    try:
        yield S3Objects("s3://bucket/x", options)
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def some_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "any")


@pytest.mark.parametrize("status", [302, 404, 405, 409, 412])
def test_a_server_that_is_not_s3_is_told_as_such(status: int, tmp_path: Path) -> None:
    local = tmp_path / "local"
    local.write_bytes(b"1")
    said = "was redirected without end" if status == 302 else f"was answered {status}"
    words = rf"{said}: is this an S3 server, and does bucket bucket exist\? Check filesystem\.endpoint"
    with answering(status) as objects:
        for use in (
            open_source(SourceSection(uri=objects.uri, filesystem=objects.options)).shards,
            lambda: objects.put("key", b"1"),
            lambda: objects.put_file("key", local),
            lambda: objects.abandon_uploads(0),
        ):
            with pytest.raises(InputError, match=rf"s3://bucket/x/.* {words}"):
                use()
        with pytest.raises(InputError, match=rf"output s3://bucket/x is not writable: .*{words}"):
            objects.check_writable()


def test_a_server_that_is_fine_with_anything_is_not_s3() -> None:
    with answering(200) as objects, pytest.raises(InputError, match="was answered without an ETag: is this an S3"):
        objects.stat("key")


@pytest.mark.parametrize("status", [400, 429, 500])
def test_a_server_that_may_answer_later_is_an_outage(status: int) -> None:
    with answering(status) as objects, pytest.raises(RunError, match=rf"failed, retries included: .*{status}"):
        list(objects.list())


def test_unreachable_server_is_a_failed_run() -> None:
    options = FilesystemOptions(endpoint="http://127.0.0.1:9", attempts=2)
    with pytest.raises(RunError, match="retries included"):
        S3Objects("s3://bucket/x", options).stat("a")
    with pytest.raises(RunError, match=r"a\.parquet could not be read"):
        open_source(SourceSection(uri="s3://bucket/x", filesystem=options)).describe(Shard("a.parquet", 1, ""))


def test_an_endpoint_of_the_environment_holds_no_login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://AKIA:topsecret@127.0.0.1:9")
    with pytest.raises(InputError, match="AWS_ENDPOINT_URL must not hold a login") as caught:
        S3Objects("s3://bucket/x", FilesystemOptions()).stat("key")
    assert "topsecret" not in str(caught.value)
