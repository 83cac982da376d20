"""Fixtures of all tests: one real local Ray and one real S3 server for the session, and the bundled demo vectors."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.s3_server import bucket, s3

__all__ = ["bucket", "ray_cluster", "root", "s3", "scifact"]

# A suite that runs in the background has SIGINT ignored, and its child processes would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """A Ray of our own on this machine, two cores; nobody else's cluster is joined or stopped."""
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def root() -> Path:
    """Folder of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def scifact() -> Path:
    """The demo store: `corpus/` (5,183 × 384 in 8 shards), `queries.parquet`, `qrels.parquet`."""
    return ROOT / "tests" / "data" / "scifact"
