"""Following through bad connections, with a client that misbehaves as told (the real one is in `test_submission`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from ray.job_submission import JobStatus, JobSubmissionClient

from cluster import following
from cluster.errors import ClusterError
from cluster.following import follow

#: A piece of log, or what happens instead of one.
Step = str | Exception | None


class FakeClient:
    """Each connection tells the log by one of `scripts`: pieces, an exception (connection lost), None (silence)."""

    def __init__(self, *scripts: list[Step], status: str = "SUCCEEDED", ends_after: int = 1) -> None:
        self.scripts, self.status, self.ends_after = list(scripts), status, ends_after
        self.connections = 0

    async def tail_job_logs(self, _name: str) -> AsyncIterator[str]:
        script = self.scripts[min(self.connections, len(self.scripts) - 1)]
        self.connections += 1
        for step in script:
            if step is None:
                await asyncio.sleep(3600)
            elif isinstance(step, Exception):
                raise step
            else:
                yield step

    def get_job_info(self, _name: str) -> Any:
        status = self.status if self.connections >= self.ends_after else "RUNNING"
        return SimpleNamespace(status=JobStatus(status), message="")

    def get_job_logs(self, _name: str) -> str:
        return "first\nsecond\nthird\n"


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "SILENCE_SECONDS", 0.05)
    monkeypatch.setattr(following, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(following, "PATIENCE_SECONDS", 0.2)


def _follow(client: FakeClient) -> tuple[str, str]:
    """The log and how the job ended."""
    log: list[str] = []
    job = follow(cast(JobSubmissionClient, client), "job", log.append)
    return "".join(log), str(job.status.value)


def test_a_dropped_connection_repeats_and_loses_nothing() -> None:
    client = FakeClient(
        ["first\n", "sec", ConnectionError()],
        ["first\nsecond", RuntimeError()],
        ["first\n", "second\nthird\n"],
        ends_after=3,
    )
    assert _follow(client) == ("first\nsecond\nthird\n", "SUCCEEDED")


def test_a_log_that_ends_early_is_asked_for_again() -> None:
    client = FakeClient(["first\n"], ["first\nsecond\nthird\n"], ends_after=2)
    assert _follow(client)[0] == "first\nsecond\nthird\n"


def test_silence_after_the_end_is_noticed_and_the_rest_read() -> None:
    assert _follow(FakeClient(["first\n", None], status="STOPPED")) == ("first\nsecond\nthird\n", "STOPPED")


def test_a_cluster_that_is_gone_is_given_up() -> None:
    with pytest.raises(ClusterError, match="may still be running: submit it again to follow it"):
        _follow(FakeClient([ConnectionError()]))
