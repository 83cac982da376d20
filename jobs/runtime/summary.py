"""The `summary.json` that fit, compress and verify leave beside their output: what was done, in numbers."""

from __future__ import annotations

import json
import math
import platform
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Literal, get_args

from jobs.runtime.json_logs import job_id
from jobs.version import VERSION

if TYPE_CHECKING:
    from jobs.storage.objects import Objects

#: `running`: so far, or it was killed.
Status = Literal["complete", "incomplete", "failed", "running"]
FILE = "summary.json"
#: Libraries whose version can change the bytes that a command writes.
_LIBRARIES = ("ray", "torch", "pyarrow", "numpy", "safetensors", "faiss-cpu", "faiss-gpu")


def versions() -> dict[str, str]:
    """Versions of this package, Python and the libraries that shape the output; those not installed are left out."""
    found = {"matryoshka-adaptor": VERSION, "python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


def write_summary(objects: Objects, command: str, numbers: Mapping[str, Any], started: float) -> dict[str, Any]:
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
    if summary["status"] not in get_args(Status):
        raise ValueError(f"status is {summary['status']!r}, expected one of {', '.join(get_args(Status))}")
    plain: dict[str, Any] = _plain(summary)
    # Half a character, as in a file name that is not UTF-8, is written as its escape, which JSON reads the same.
    text = json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False).encode(errors="backslashreplace")
    objects.put(FILE, text + b"\n")
    return plain


def _plain(value: Any) -> Any:
    """Numpy scalars as Python's, tuples as lists, non-finite numbers as None."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "item") and callable(value.item):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
