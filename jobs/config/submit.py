"""The schema of `matryoshka submit`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from adaptor.settings import Settings
from jobs.config.credential_redaction import SECRET_NAME, has_login
from jobs.config.uris import ServerAddress


def _without_login(text: str) -> str:
    if has_login(text):
        raise ValueError("must not hold a user name or password: put the packages into the image, or give nodes a role")
    return text


def _public(name: str) -> str:
    if SECRET_NAME.search(name):
        raise ValueError(
            "looks like a secret, and everybody on the cluster can read a job's environment: give the nodes a role or "
            "a Kubernetes secret"
        )
    return name


WithoutLogin = Annotated[str, AfterValidator(_without_login)]


class SubmissionSection(Settings):
    """The job to send."""

    command: Literal["run", "fit", "advise", "compress", "evaluate", "verify"]
    """Command to run on the cluster."""
    config: str
    """Its YAML file; it is checked here before anything is sent."""
    overrides: dict[str, str] = Field(default={})
    """Fields to override in it, as `section.field: value`."""
    address: ServerAddress = "http://127.0.0.1:8265"
    """Address of the cluster's dashboard (Jobs API), as `http://host:port` or `https://host:port`."""
    allow_unauthenticated: bool = False
    """Send also to a cluster beyond this machine that asks for no token (anybody who reaches it can run code on it)."""
    job_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")] | None = None
    """Name of the job (letters, digits, dots, dashes, underscores); null: made from what is sent. A name runs once."""
    pip: tuple[WithoutLogin, ...] = ()
    """Requirements that each node installs first; leave empty when the image holds them (recommended)."""
    environment: dict[Annotated[str, AfterValidator(_public)], WithoutLogin] = Field(default={})
    """Environment variables of the job, none of them secret: everybody on the cluster can read them."""
    follow: bool = True
    """Print the job's log until it ends: exit code 0 if it succeeded, else 1. False returns once it is queued."""
    entrypoint_cpus: float = Field(default=0, ge=0)
    """CPUs reserved for the driver of the job."""


class SubmitConfig(Settings):
    """Send a command to a running Ray cluster."""

    submission: SubmissionSection
