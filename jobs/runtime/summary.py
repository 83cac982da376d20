"""The `summary.json` that a command leaves beside its output: what was done, in numbers."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal, Protocol, get_args

from pydantic_core import to_jsonable_python

from adaptor.errors import InputError, RunError
from cluster.guardian import guarded
from jobs.runtime.json_logs import job_id
from jobs.version import VERSION

#: `running`: so far, or it was killed and its output is not on a local disk.
SummaryStatus = Literal["complete", "incomplete", "failed", "running"]
FILE = "summary.json"
#: Libraries whose version can change the bytes that a command writes.
_LIBRARIES = ("ray", "torch", "pyarrow", "numpy", "safetensors", "faiss-cpu", "faiss-gpu")


class Folder(Protocol):
    """Where a summary goes: what it takes of jobs.storage's Objects."""

    def path(self, key: str) -> str:
        """A local path, or something that is none."""

    def put(self, key: str, content: bytes) -> None:
        """Write or replace."""

    def read(self, key: str) -> bytes:
        """The content. Raises InputError when there is none."""


@contextmanager
def summarised(folder: Folder, command: str, started: float, **numbers: Any) -> Iterator[dict[str, Any]]:
    """Keep `summary.json` true while the block runs: `running` at first, at the end what the block put into the dict
    that it gets (which starts as `numbers`), `failed` after an exception, and after a kill where the disk is local.

    Enter it before Ray starts, and once the input is known to be usable. Fields are those of `write_summary`.
    """
    write_summary(folder, command, numbers | {"status": "running"}, started)
    with guarded(command, job_id(), folder.path(FILE)):
        try:
            yield numbers
            write_summary(folder, command, numbers, started)
        except BaseException:
            with suppress(InputError, RunError):  # in an outage of the output the first problem is the one to tell
                write_summary(folder, command, numbers | {"status": "failed"}, started)
            raise


def write_summary(folder: Folder, command: str, numbers: Mapping[str, Any], started: float) -> dict[str, Any]:
    """Write `summary.json` and return what it holds.

    `numbers` are the command's own fields (counts, `_bytes`, `adaptor_id` …); `status` is `complete` when left out.
    `started` is `time.time()` at the start of the command, seconds. NaN and infinity become null, as JSON has neither.
    """
    summary = {
        "command": command,
        "job": job_id(),
        "status": "complete",
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "seconds": round(time.time() - started, 3),
        **numbers,
        "versions": versions(),
    }
    if summary["status"] not in get_args(SummaryStatus):
        raise ValueError(f"status is {summary['status']!r}, expected one of {', '.join(get_args(SummaryStatus))}")
    plain: dict[str, Any] = to_jsonable_python(summary, inf_nan_mode="null", fallback=lambda scalar: scalar.item())
    # Half a character, as in a file name that is not UTF-8, is written as its escape, which JSON reads the same.
    text = json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False).encode(errors="backslashreplace")
    folder.put(FILE, text + b"\n")
    return plain


def says_complete(folder: Folder) -> bool:
    """Whether there is a summary whose status is `complete`."""
    try:
        return b'"status": "complete"' in folder.read(FILE)
    except InputError:
        return False


def versions() -> dict[str, str]:
    """Versions of this package, Python and the libraries that shape the output; those not installed are left out."""
    installed = {"matryoshka-adaptor": VERSION, "python": platform.python_version()}
    for library in _LIBRARIES:
        with suppress(PackageNotFoundError):
            installed[library] = version(library)
    return installed
