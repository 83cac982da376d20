"""Prints the log of a submitted job until the job ends.

The log comes over a websocket that sends it from the start; a connection can drop, or fall silent without dropping.
Both are normal on long jobs. The job's status then decides, and the next connection skips what was printed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from cluster.errors import ClusterError
from cluster.submission import job_details

if TYPE_CHECKING:
    from ray.job_submission import JobDetails, JobSubmissionClient

LOGGER = logging.getLogger(__name__)

#: With no new line for so long, the job's status is asked for and the log's connection made anew.
SILENCE_SECONDS = 15.0
#: How long a cluster that does not answer is tried again.
PATIENCE_SECONDS = 180.0
#: Wait before the next try.
PAUSE_SECONDS = 2.0


def follow(client: JobSubmissionClient, name: str, write: Callable[[str], None]) -> JobDetails:
    """Hand the log of job `name` to `write`, piece by piece and each piece once, until the job has ended. How it ended.

    Raises `ClusterError` when the cluster stays unreachable for `PATIENCE_SECONDS`; the job may well be running on.
    """
    return asyncio.run(_follow(client, name, _NewText(write)))


class _NewText:
    """Passes on what is new of a text that is sent from its start after each interruption."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write, self._written, self._received = write, 0, 0

    def restart(self) -> None:
        """The text starts again."""
        self._received = 0

    def receive(self, piece: str) -> None:
        """The text goes on with `piece`."""
        new = piece[max(0, self._written - self._received) :]
        self._received += len(piece)
        if new:
            self._write(new)
            self._written = self._received


async def _follow(client: JobSubmissionClient, name: str, log: _NewText) -> JobDetails:
    from aiohttp import ClientError

    lost_since: float | None = None
    waiting_said = False
    while True:
        try:
            complete = await _tail(client, name, log)
            job = await asyncio.to_thread(job_details, client, name)
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
                return job
            if job.status.value == "PENDING" and not waiting_said:
                LOGGER.warning("the job is waiting: %s", job.message)
                waiting_said = True
        await asyncio.sleep(PAUSE_SECONDS)


async def _tail(client: JobSubmissionClient, name: str, log: _NewText) -> bool:
    """Read the log from its start until it ends (True) or has been silent for a while (False)."""
    log.restart()
    try:
        async with asyncio.timeout(SILENCE_SECONDS) as silence:
            async for piece in client.tail_job_logs(name):
                log.receive(piece)
                silence.reschedule(asyncio.get_running_loop().time() + SILENCE_SECONDS)
    except TimeoutError:
        return False
    return True


async def _rest(client: JobSubmissionClient, name: str, log: _NewText) -> None:
    """Read what the silent connection kept back, if the machine that holds the log still answers."""
    try:
        text = await asyncio.to_thread(client.get_job_logs, name)
    except (OSError, RuntimeError) as error:
        LOGGER.warning("the end of the job's log is missing here (%s)", type(error).__name__)
        return
    log.restart()
    log.receive(text)
