"""The last words of a command whose process is gone without any: killed, out of memory, or ended by Ray's native side.

Nothing in Python runs then. So a second process, started before Ray, waits at a pipe for the end of the first. Unless
all is in order, it sets the command's summary, where that is a local file, to `failed`, and prints what has happened,
if the user has not been told. This file is also the program of that process: standard library only, 10 ms, 8 MB.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from subprocess import Popen

#: What a command sends to its guardian at the end: all is in order; or it is not, and the user knows why.
_IN_ORDER, _EXPLAINED = b"in order", b"explained"
#: The guardians of this process.
_GUARDIANS: list[Popen[bytes]] = []


@contextmanager
def guarded(command: str, job: str, summary: str) -> Iterator[None]:
    """Have a guardian while the block runs; an exception is an end in order, too.

    `summary` is the path of the command's `summary.json` and `job` the id in it; the path may lead nowhere.
    """
    import subprocess

    program = [sys.executable, "-I", "-S", __file__, command, job, summary]
    try:
        # In a session of its own: Ctrl-C and the kill of a process group are not meant for it.
        guardian = subprocess.Popen(  # noqa: S603 (this file)
            program, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
        )
    except OSError:  # there are no more processes: a command that needs some will say so
        yield
        return
    with guardian:
        _GUARDIANS.append(guardian)
        try:
            yield
        finally:
            _GUARDIANS.remove(guardian)
            _send(guardian, _IN_ORDER)


def leave(status: int) -> NoReturn:
    """End this process at once, from any thread or signal handler, whatever else hangs. The user knows why."""
    for guardian in _GUARDIANS:
        _send(guardian, _EXPLAINED)
    os._exit(status)


def _send(guardian: Popen[bytes], message: bytes) -> None:
    with suppress(OSError):  # somebody has killed it
        os.write(guardian.stdin.fileno() if guardian.stdin else -1, message)


def _main(command: str, job: str, summary: str) -> None:
    """The guardian."""
    message = os.read(0, 64)  # nothing: the other end of the pipe is gone
    if message == _IN_ORDER:
        return
    with suppress(OSError, ValueError):  # no file, or no longer a summary
        _note_failure(job, summary)
    if message != _EXPLAINED:
        text = (
            f"matryoshka {command}: the process was killed or crashed, and could not say why. If it was not killed on "
            "purpose: memory may have run out (see `dmesg`), or Ray gave up, as it does a minute after it has lost the "
            "head of its cluster (session_latest/logs below /tmp/ray or RAY_TMPDIR). Run the same command again to go "
            "on\n"
        )
        with suppress(OSError):  # the terminal is gone as well
            os.write(2, text.encode(errors="replace"))


def _note_failure(job: str, path: str) -> None:
    import json

    with open(path, encoding="utf-8") as file:
        summary = json.load(file)
    if isinstance(summary, dict) and (summary.get("job"), summary.get("status")) == (job, "running"):
        summary["status"] = "failed"
        temporary = os.path.join(os.path.dirname(path), f".tmp-{os.getpid()}")  # as jobs.storage.local names them
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(summary, file, indent=2)
        os.replace(temporary, path)


if __name__ == "__main__":
    _main(*sys.argv[1:])
