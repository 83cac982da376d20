"""Prints the log of a submitted job until the job ends.

The log comes over a websocket that sends it from the start; a connection can drop, or fall silent without dropping.
Both are normal on long jobs: the next connection skips what was printed, and after a silence the job's status decides.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cluster.errors import ClusterError
from cluster.submission import details

if TYPE_CHECKING:
    from ray.job_submission import JobDetails, JobSubmissionClient

LOGGER = logging.getLogger(__name__)

#: With no new line for so long, the job's status is asked for.
SILENCE_SECONDS = 15.0
#: How long a cluster that does not answer is tried again.
PATIENCE_SECONDS = 180.0
#: Wait before the next try.
PAUSE_SECONDS = 2.0


@dataclass(frozen=True)
class Ending:
    """How a job ended: `SUCCEEDED`, `FAILED` or `STOPPED`, the exit status of its command if any, and Ray's words."""

    status: str
    exit_code: int | None
    message: str

    @property
    def succeeded(self) -> bool:
        """Whether the command ended with exit status 0."""
        return self.status == "SUCCEEDED"


def follow(client: JobSubmissionClient, name: str, write: Callable[[str], None]) -> Ending:
    """Hand the log of job `name` to `write`, piece by piece and each piece once, until the job has ended.

    Raises `ClusterError` when the cluster stays unreachable for `PATIENCE_SECONDS`; the job may well be running on.
    """
    return asyncio.run(_follow(client, name, _Once(write)))


class _Once:
    """Passes a text on that is told again from the start after each interruption."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write, self._written, self._heard = write, 0, 0

    def restart(self) -> None:
        """The text starts again."""
        self._heard = 0

    def hear(self, piece: str) -> None:
        """The text goes on with `piece`."""
        known = max(0, self._written - self._heard)
        self._heard += len(piece)
        if piece[known:]:
            self._write(piece[known:])
            self._written = self._heard


async def _follow(client: JobSubmissionClient, name: str, log: _Once) -> Ending:
    from aiohttp import ClientError

    lost_since: float | None = None
    while True:
        try:
            log.restart()
            complete = await _tail(client, name, log)
            job = await asyncio.to_thread(details, client, name)
            lost_since = None
        except (ClusterError, ClientError, OSError, RuntimeError) as error:
            lost_since = lost_since or time.monotonic()
            if time.monotonic() - lost_since > PATIENCE_SECONDS:
                raise ClusterError(
                    f"the cluster has not answered for {PATIENCE_SECONDS:.0f} s ({type(error).__name__}); "
                    f"the job {name} may still be running: submit it again to follow it"
                ) from error
            LOGGER.warning("the connection to the job's log was lost (%s), trying again", type(error).__name__)
        else:
            if job is None:
                raise ClusterError(
                    f"the cluster no longer knows the job {name}: was it restarted? Submit the job again"
                )
            if job.status.is_terminal():
                if not complete:
                    await _rest(client, name, log)
                return _ending(job)
        await asyncio.sleep(PAUSE_SECONDS)


async def _tail(client: JobSubmissionClient, name: str, log: _Once) -> bool:
    """Read the log until it ends (True), or until the job has ended and the log has been silent (False)."""
    pieces = client.tail_job_logs(name).__aiter__()
    waiting_said = False
    pending: asyncio.Task[Any] | None = None
    try:
        while True:
            pending = pending or asyncio.ensure_future(_next(pieces))
            done, _ = await asyncio.wait({pending}, timeout=SILENCE_SECONDS)
            if done:
                piece, pending = pending.result(), None
                if piece is None:
                    return True
                log.hear(piece)
                continue
            job = await asyncio.to_thread(details, client, name)
            if job is None or job.status.is_terminal():
                return False
            if job.status.value == "PENDING" and not waiting_said:
                LOGGER.warning("the job is waiting: %s", job.message)
                waiting_said = True
    finally:
        if pending is not None:
            pending.cancel()


async def _rest(client: JobSubmissionClient, name: str, log: _Once) -> None:
    """Read what the silent connection kept back, if the machine that holds the log still answers."""
    try:
        text = await asyncio.to_thread(client.get_job_logs, name)
    except (OSError, RuntimeError) as error:
        LOGGER.warning("the end of the job's log is missing here (%s)", type(error).__name__)
        return
    log.restart()
    log.hear(text)


async def _next(pieces: Any) -> str | None:
    async for piece in pieces:
        return str(piece)
    return None


def _ending(job: JobDetails) -> Ending:
    # Ray repeats the tail of the log after the first line of its message.
    message = (job.message or "").split(", last available logs")[0].strip()
    return Ending(job.status.value, job.driver_exit_code, message)
