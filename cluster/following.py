"""Prints the log of a submitted job until the job ends.

The log is asked for as a whole, again and again; what is new of it is printed. A connection that drops loses nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from cluster.errors import ClusterError
from cluster.submission import job_details

if TYPE_CHECKING:
    from ray.job_submission import JobDetails, JobSubmissionClient

LOGGER = logging.getLogger(__name__)

#: Wait between two looks; after a slow one ten times as long as it took, but at most a minute.
PAUSE_SECONDS, _LONGEST_PAUSE = 2.0, 60.0
#: How long a cluster that does not answer is tried again.
PATIENCE_SECONDS = 180.0


def follow(client: JobSubmissionClient, name: str, write: Callable[[str], None]) -> JobDetails:
    """Hand the log of job `name` to `write`, piece by piece and each piece once, until the job has ended. How it ended.

    Raises `ClusterError` when the cluster stays unreachable for `PATIENCE_SECONDS`; the job may well be running on.
    """
    printed, answered, waiting_noted = 0, time.monotonic(), False
    while True:
        started = time.monotonic()
        try:
            job = job_details(client, name)
            log = _log(client, name, job.status.is_terminal()) if job else ""
            answered = time.monotonic()
        except (ClusterError, OSError, RuntimeError) as error:
            if time.monotonic() - answered > PATIENCE_SECONDS:
                raise ClusterError(
                    f"the cluster has not answered for {PATIENCE_SECONDS:.0f} s ({type(error).__name__}); "
                    f"the job {name} may still be running: submit it again to follow it"
                ) from error
            LOGGER.warning("the job's log cannot be read (%s), trying again", type(error).__name__)
        else:
            if job is None:
                raise ClusterError(
                    f"the cluster no longer knows the job {name}: was it restarted? Submit the job again"
                )
            write(log[printed:])
            printed = max(printed, len(log))
            if job.status.is_terminal():
                return job
            if job.status.value == "PENDING" and not waiting_noted:
                LOGGER.warning("the job is waiting: %s", job.message)
                waiting_noted = True
        time.sleep(min(max(PAUSE_SECONDS, 10 * (time.monotonic() - started)), _LONGEST_PAUSE))


def _log(client: JobSubmissionClient, name: str, has_ended: bool) -> str:
    """All of the log; nothing where the job has ended and the machine that held its log is gone."""
    try:
        return client.get_job_logs(name)
    except (OSError, RuntimeError) as error:
        if not has_ended:
            raise
        LOGGER.warning("the end of the job's log is missing here (%s)", type(error).__name__)
        return ""
