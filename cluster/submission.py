"""Sends a job to a running cluster through Ray's Jobs API.

1. `job_client` looks at the cluster before anything secret is sent: is it Ray's, our version, and closed to strangers?
2. `send` starts the job, or says that one of that name is running.
3. `cluster.following.follow` prints its log until it ends.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cluster.credentials import MODE, TOKEN_SOURCES, environment, mode_for_existing_cluster
from cluster.errors import ClusterError
from cluster.session import quiet

if TYPE_CHECKING:
    from ray.job_submission import JobDetails, JobSubmissionClient

LOGGER = logging.getLogger(__name__)

#: Longest wait for the first answer of the cluster.
PROBE_SECONDS = 10


@dataclass(frozen=True)
class SubmittedJob:
    """What is sent: a command line, the folder it runs in, and what its nodes need."""

    name: str
    entrypoint: str
    working_dir: Path
    pip: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)
    cpus: float = 0


def on_this_machine(address: str) -> bool:
    """Whether `address` is reached without a network: this machine, or the end of a tunnel that starts here."""
    return urlsplit(address).hostname in {"localhost", "127.0.0.1", "::1"}


@contextmanager
def job_client(address: str, allow_unauthenticated: bool = False) -> Iterator[JobSubmissionClient]:
    """Hold a client of the cluster whose dashboard is at `address` (`http[s]://host:port`).

    Raises `ClusterError` when nothing answers, the token is missing or wrong, the Ray versions differ, or a cluster
    beyond this machine lets everybody in: whoever reaches its port runs code on it.
    """
    open_to_all = _probe(address)
    is_remote = not on_this_machine(address)
    if open_to_all and is_remote and not allow_unauthenticated:
        raise ClusterError(
            f"the Ray cluster at {address} asks for no token: anybody who reaches it can run code on it. Start it with "
            "RAY_AUTH_MODE=token, or accept the risk with --submission.allow_unauthenticated true"
        )
    if not open_to_all and is_remote and address.startswith("http:"):
        LOGGER.warning("the token travels unencrypted to %s: use https or an SSH tunnel to 127.0.0.1", address)
    # Whoever asks for no token gets none.
    with environment({MODE: "disabled"} if open_to_all else mode_for_existing_cluster()):
        yield _client(address)


def _probe(address: str) -> bool:
    """Ask for the version without a token; returns whether the cluster answers everybody."""
    import requests

    try:
        reply = requests.get(f"{address.rstrip('/')}/api/version", timeout=PROBE_SECONDS, allow_redirects=False)
    except requests.exceptions.RequestException as error:
        raise ClusterError(
            f"no Ray cluster answers at {address} ({type(error).__name__}). submission.address is the address of its "
            "dashboard (port 8265 unless changed), which listens on the head node only: forward that port"
        ) from error
    if reply.status_code in (401, 403):
        return False
    try:
        version = reply.json()["ray_version"]
    except (ValueError, TypeError, KeyError):  # no JSON, no object, or another's
        version = None
    if reply.status_code != 200 or not isinstance(version, str):
        raise ClusterError(
            f"{address} answers, but not as a Ray dashboard (status {reply.status_code}): check the address"
        )
    return True


def _client(address: str) -> JobSubmissionClient:
    import ray
    from ray.exceptions import AuthenticationError
    from ray.job_submission import JobSubmissionClient

    quiet()
    for module in ("dashboard_sdk", "job.sdk"):  # these set their own level
        logging.getLogger(f"ray.dashboard.modules.{module}").setLevel(logging.WARNING)
    try:
        client = JobSubmissionClient(address)
    except AuthenticationError as error:
        reason = "the token is not the cluster's" if "nvalid" in str(error) else "there is no token"
        raise ClusterError(
            f"the Ray cluster at {address} refused us: {reason}. The token comes from {TOKEN_SOURCES}; "
            "RAY_AUTH_MODE must be `token` or unset"
        ) from error
    except (OSError, RuntimeError, ValueError) as error:  # ValueError: a version that is none
        raise ClusterError(f"the Ray cluster at {address} does not take jobs: {error}") from error
    version = client._server_ray_version
    if version != ray.__version__:
        raise ClusterError(
            f"the cluster runs Ray {version}, this program needs {ray.__version__} on both sides: "
            "use the image built from cluster/Dockerfile, or the matching release of this program"
        )
    return client


def send(client: JobSubmissionClient, job: SubmittedJob) -> bool:
    """Start the job; returns False when a job of that name is running already (then nothing is sent).

    Raises `ClusterError` when a job of that name has ended (Ray uses a name once), or the cluster refuses the job.
    """
    runtime_env = {
        "working_dir": str(job.working_dir),
        "env_vars": {"PYTHONUNBUFFERED": "1"} | job.variables,  # so that the log arrives line by line
        "pip": list(job.pip) or None,
    }
    try:
        client.submit_job(
            entrypoint=job.entrypoint,
            submission_id=job.name,
            runtime_env=runtime_env,
            entrypoint_num_cpus=job.cpus,
        )
        return True
    except (OSError, RuntimeError) as error:
        existing = job_details(client, job.name)
        if existing is None:
            raise ClusterError(f"the cluster refused the job {job.name}: {error}") from error
    if existing.status.is_terminal():
        raise ClusterError(
            f"the job {job.name} has already run on this cluster (it {existing.status.value.lower()}), and Ray uses a "
            f"name only once. To run it again, name it anew: --submission.job_id {job.name}-2"
        )
    return False


def job_details(client: JobSubmissionClient, name: str) -> JobDetails | None:
    """What the cluster says of a job; None when it has no such job."""
    try:
        return client.get_job_info(name)
    except (OSError, RuntimeError) as error:
        if "status code 404" in str(error):
            return None
        raise ClusterError(f"the cluster did not say how the job {name} is doing: {error}") from error
