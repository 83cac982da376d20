"""`credentials: role`: the role is assumed with the environment's credentials, and its own are used afterwards."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest

from jobs.storage.s3 import S3Objects
from tests.s3_server import ACCESS_KEY, SECRET_KEY, S3Server

ROLE = "arn:aws:iam::123456789012:role/reader"


class _Sts(ThreadingHTTPServer):
    """Answers AssumeRole with the S3 server's own credentials, and remembers what was asked."""

    asked: list[tuple[dict[str, list[str]], str]]


class _Handler(BaseHTTPRequestHandler):
    server: _Sts

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.asked.append((parse_qs(body), self.headers["Authorization"]))
        ends = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        answer = f"""<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
            <AssumedRoleUser><Arn>{ROLE}/x</Arn><AssumedRoleId>A:x</AssumedRoleId></AssumedRoleUser>
            <Credentials><AccessKeyId>{ACCESS_KEY}</AccessKeyId><SecretAccessKey>{SECRET_KEY}</SecretAccessKey>
            <SessionToken></SessionToken><Expiration>{ends}</Expiration></Credentials></AssumeRoleResult>
            <ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></AssumeRoleResponse>""".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing on stderr."""


@pytest.fixture
def sts() -> Iterator[_Sts]:
    server = _Sts(("127.0.0.1", 0), _Handler)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_role_is_assumed_once_for_all_requests(
    bucket: str, s3: S3Server, sts: _Sts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "source-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "source-secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://127.0.0.1:{sts.server_address[1]}")
    options = s3.options.model_copy(update={"credentials": "role", "role_arn": ROLE})
    objects = S3Objects(bucket, options)
    objects.put("a", b"1")
    assert objects.read("a") == b"1"
    with objects.arrow.open_input_file(objects.path("a")) as file:
        assert file.read() == b"1"
    assert len(sts.asked) == 2  # one for each of the two clients
    for form, signed in sts.asked:
        assert form["RoleArn"] == [ROLE]
        assert "Credential=source-key/" in signed
