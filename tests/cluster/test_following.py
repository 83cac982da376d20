"""Following through bad connections, with a client that misbehaves as told (the real one is in `test_submission`)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from ray.job_submission import JobStatus, JobSubmissionClient

from cluster import following
from cluster.errors import ClusterError
from cluster.following import follow

LOG = "first\nsecond\nthird\n"


class FakeClient:
    """Answers each question for the log by one of `answers`, the last one for ever; then the job has ended."""

    def __init__(self, *answers: str | Exception, status: str = "SUCCEEDED") -> None:
        self.answers, self.status = list(answers), status

    def get_job_info(self, _name: str) -> Any:
        status = "RUNNING" if len(self.answers) > 1 else self.status
        return SimpleNamespace(status=JobStatus(status), message="")

    def get_job_logs(self, _name: str) -> str:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(following, "PATIENCE_SECONDS", 0.2)


def _follow(client: FakeClient) -> tuple[list[str], str]:
    """The pieces of the log and how the job ended."""
    log: list[str] = []
    job = follow(cast(JobSubmissionClient, client), "job", log.append)
    return [piece for piece in log if piece], str(job.status.value)


def test_each_piece_is_printed_once() -> None:
    client = FakeClient("", "first\n", "first\nsec", "first\nsec", LOG, status="FAILED")
    assert _follow(client) == (["first\n", "sec", "ond\nthird\n"], "FAILED")


def test_a_dropped_connection_repeats_and_loses_nothing(caplog: pytest.LogCaptureFixture) -> None:
    client = FakeClient("first\n", ConnectionError(), RuntimeError(), "first\nsecond\n", LOG)
    assert _follow(client) == (["first\n", "second\n", "third\n"], "SUCCEEDED")
    assert "the job's log cannot be read (ConnectionError), trying again" in caplog.text


def test_the_end_of_a_job_is_told_when_its_log_is_gone(caplog: pytest.LogCaptureFixture) -> None:
    client = FakeClient("first\n", RuntimeError("500"), status="FAILED")
    assert _follow(client) == (["first\n"], "FAILED")
    assert "the end of the job's log is missing here (RuntimeError)" in caplog.text


def test_a_cluster_that_is_gone_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    client = FakeClient(LOG)
    monkeypatch.setattr(client, "get_job_info", lambda name: (_ for _ in ()).throw(ConnectionError()))
    with pytest.raises(ClusterError, match="may still be running: submit it again to follow it"):
        _follow(client)


def test_a_job_that_the_cluster_has_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    client = FakeClient(LOG)
    monkeypatch.setattr(client, "get_job_info", lambda name: (_ for _ in ()).throw(RuntimeError("status code 404")))
    with pytest.raises(ClusterError, match="no longer knows the job job"):
        _follow(client)
