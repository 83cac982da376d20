"""`matryoshka submit`: the same command, run by a Ray cluster instead of this machine.

1. Check the configuration of the command here, with all its rules.
2. Stage our code and the resolved configuration in a temporary folder (staging.py); data never travels.
3. Send it (`cluster.submission`), print its log and end as it ended (`cluster.following`).
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from adaptor.errors import InputError
from cluster.following import follow
from cluster.submission import SubmittedJob, job_client, on_this_machine, send
from jobs.config.loader import SCHEMAS, load, resolved
from jobs.config.submit import SubmissionSection, SubmitConfig
from jobs.runtime.interrupts import INTERRUPTED
from jobs.submit.staging import CONFIG_NAME, stage

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient


def run(config: SubmitConfig) -> int:
    """Send the job and, unless told otherwise, follow it. Log to stdout, everything else to stderr.

    Returns 0 when the job succeeded (or was queued, with `follow: false`), 1 when it failed or was stopped, 130 after
    Ctrl-C, which leaves the job running. Raises `InputError` before anything is sent, `ClusterError` after that.
    """
    section = config.submission
    command_config = _checked(section)
    with tempfile.TemporaryDirectory(prefix="matryoshka-submit-") as folder:
        code = stage(Path(folder), resolved(command_config))
        job = SubmittedJob(
            name=section.job_id or _name(section, code),
            entrypoint=f"python -m jobs {section.command} {CONFIG_NAME}",
            working_dir=Path(folder),
            pip=section.pip,
            variables=section.environment,
            cpus=section.entrypoint_cpus,
        )
        with job_client(section.address, section.allow_unauthenticated) as client:
            sent = send(client, job)
            _say(f"job {job.name} " + ("is sent" if sent else "is running already: following it, nothing new was sent"))
            if section.follow:
                return _follow(client, job.name, section.address)
    _say(_how_to(job.name, section.address))
    return 0


def _checked(section: SubmissionSection) -> BaseModel:
    """The configuration of the command itself, with absolute paths where the cluster may see this disk: the job starts
    in another folder. Raises `InputError` listing all that is wrong with it."""
    schema = SCHEMAS[section.command]
    config = load(schema, Path(section.config), section.overrides.items())
    values = config.model_dump(mode="json")
    relative = "".join(f"\n  {name}: {path}" for name, path in _make_absolute(values))
    if not relative:
        return config
    if not on_this_machine(section.address):
        raise InputError(
            f"{section.config} cannot be submitted: on the cluster there is no folder that these relative paths could "
            f"start from; give s3:// URIs, or absolute paths of a disk that all nodes share{relative}"
        )
    _say(f"relative paths start in {Path.cwd()}, which every node of the cluster must see:{relative}")
    return schema.model_validate(values)


def _make_absolute(values: dict[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Make every relative path in a `uri` below `values` absolute; the dotted name and the relative path of each."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _make_absolute(value, f"{above}{key}.")
        elif key == "uri" and isinstance(value, str) and "://" not in value and not PurePosixPath(value).is_absolute():
            values[key] = str(Path.cwd() / Path(value).expanduser())
            yield f"{above}{key}", value


def _name(section: SubmissionSection, code: str) -> str:
    """A name that is the same exactly when the same job is sent again."""
    parts = [code, section.pip, section.environment, section.entrypoint_cpus]
    return f"matryoshka-{section.command}-{hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]}"


def _follow(client: JobSubmissionClient, name: str, address: str) -> int:
    try:
        job = follow(client, name, partial(print, end="", flush=True))
    except KeyboardInterrupt:
        _say(f"no longer following; the job goes on. {_how_to(name, address)}")
        return INTERRUPTED
    succeeded = job.status == "SUCCEEDED"
    status = f" (exit code {job.driver_exit_code})" if job.driver_exit_code is not None else ""
    # Ray repeats the tail of the log after the first line of its message.
    message = (job.message or "").split(", last available logs")[0].strip()
    _say(f"job {name} {job.status.lower()}{status}" + (f": {message}" if message and not succeeded else ""))
    return 0 if succeeded else 1


def _how_to(name: str, address: str) -> str:
    return f"Follow it: submit it again. Stop it: RAY_AUTH_MODE=token ray job stop --address {address} {name}"


def _say(text: str) -> None:
    print(text, file=sys.stderr)
