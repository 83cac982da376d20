"""What is found out about a cluster before any token is sent to it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import ray

from tests.head_node import environment


@contextmanager
def _server(body: str, status: int = 200, host: str = "127.0.0.1") -> Iterator[tuple[str, list[str | None]]]:
    """A web server that answers everything alike; yields its address and the tokens that it was shown."""
    shown: list[str | None] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            shown.append(self.headers["Authorization"])
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer((host, 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{host}:{server.server_port}", shown
        server.shutdown()


OURS = json.dumps({"ray_version": ray.__version__})


REACH = """
import sys
from cluster.errors import ClusterError
from cluster.submission import job_client
try:
    with job_client(sys.argv[1], sys.argv[2] == "True") as client: print("REACHED", client.get_address())
except ClusterError as error:
    print("REFUSED", error)
"""


def _reach(root: Path, address: str, allow_unauthenticated: bool = False, **variables: str) -> str:
    """In a process of its own: Ray keeps its token for the life of a process."""
    return subprocess.run(
        [sys.executable, "-c", REACH, address, str(allow_unauthenticated)],
        env=environment(None, **variables),
        cwd=root,
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    ).stdout


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ("<html>", 200, "answers, but not as a Ray dashboard"),
        ("[]", 200, "answers, but not as a Ray dashboard"),
        ("5", 200, "answers, but not as a Ray dashboard"),
        ("null", 200, "answers, but not as a Ray dashboard"),
        ('"ray_version"', 200, "answers, but not as a Ray dashboard"),
        ('{"ray_version": 5}', 200, "answers, but not as a Ray dashboard"),
        ('{"ray_version": "?"}', 200, "does not take jobs: Invalid version"),
        ("{}", 404, "answers, but not as a Ray dashboard (status 404)"),
        (json.dumps({"ray_version": "2.9.0"}), 200, f"runs Ray 2.9.0, this program needs {ray.__version__}"),
    ],
)
def test_what_is_not_our_ray_is_refused(root: Path, body: str, status: int, message: str) -> None:
    with _server(body, status) as (address, _):
        said = _reach(root, address)
    assert said.startswith("REFUSED")
    assert message in said


def test_an_open_cluster_is_used_on_this_machine_only(root: Path) -> None:
    with _server(OURS) as (address, _):
        assert _reach(root, address) == f"REACHED {address}\n"
    # Of the loopback addresses only the usual ones count as this machine, which makes this one a stranger.
    with _server(OURS, host="127.0.0.2") as (address, _):
        assert "asks for no token: anybody who reaches it can run code on it" in _reach(root, address)
        assert _reach(root, address, allow_unauthenticated=True) == f"REACHED {address}\n"


def test_a_cluster_that_lets_everybody_in_is_shown_no_token(root: Path) -> None:
    with _server(OURS) as (address, shown):
        assert "REACHED" in _reach(root, address, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN="0" * 64)
    assert set(shown) == {None}
