"""Fixtures of all tests: one real local Ray and one real S3 server for the session, and the bundled demo vectors."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

# Two test processes on two cores: where each also takes two threads for every product, they mostly wait for each other
# (a third of the CPU time of the training tests is left). Before anything loads numpy or torch.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from cluster.guardian import guarded
from tests.s3_server import bucket, s3

__all__ = ["bucket", "ray_cluster", "root", "s3", "scifact"]

# A suite that runs in the background has SIGINT ignored, and its child processes would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session", autouse=True)
def _last_words(pytestconfig: pytest.Config) -> Iterator[None]:
    """Where Ray's native side, or a lack of memory, ends the test run, a line on the real standard error says so."""
    with ExitStack() as until_the_end:
        with pytestconfig.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            until_the_end.enter_context(guarded("tests", "", ""))
        yield


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """A Ray of our own on this machine, two cores; nobody else's cluster is joined or stopped."""
    import ray

    _start_ray()
    yield
    ray.shutdown()


@pytest.fixture(autouse=True)
def _ray_lives() -> None:
    """Fail with its last words where the Ray of the session has died, and start another for the tests that follow: a
    process without its head is ended by Ray after a minute, and what pytest has captured with it."""
    private = sys.modules.get("ray._private.worker")
    node = private and private._global_node
    heads = node.all_processes.get("gcs_server") if node else None
    if node is None or not heads or heads[0].process.poll() is None:
        return
    import ray

    logs = (Path(node.get_logs_dir_path()) / f"gcs_server.{kind}" for kind in ("out", "err"))
    last = "\n".join(log.read_text(errors="replace")[-3000:] for log in logs if log.exists())
    ray.shutdown()
    _start_ray()
    pytest.fail(f"the head of the tests' Ray has died (another is started now); its log ends so:\n{last}")


def _start_ray() -> None:
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)


@pytest.fixture(scope="session")
def root() -> Path:
    """Folder of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def scifact() -> Path:
    """The demo source: `corpus/` (5,183 × 384 in 8 shards), `queries.parquet`, `qrels.parquet`."""
    return ROOT / "tests" / "data" / "scifact"
