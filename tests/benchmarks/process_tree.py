"""What a command costs, over all processes that it starts: wall clock, CPU-seconds, peak of the resident memory.

Linux: /proc is read every tenth of a second. Processes whose parent has gone (Ray's, a JVM's) stay ours, because this
process is made the reaper of its descendants.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SAMPLE_SECONDS = 0.1
_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PR_SET_CHILD_SUBREAPER = 36
#: How long what a command leaves behind may take to end by itself.
_GRACE_SECONDS = 20


@dataclass(frozen=True)
class Usage:
    """`peak_rss_bytes` is the largest sum over all processes at one moment; pages that they share count for each."""

    status: int
    seconds: float
    cpu_seconds: float
    peak_rss_bytes: int


@dataclass(frozen=True)
class _Process:
    pid: int
    parent: int
    started: int
    cpu_ticks: int
    rss_bytes: int


def run(
    command: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    log: Path,
) -> Usage:
    """Run `command` in `folder` to its end, and that of all it started; output and errors go to `log`.

    Processes that this one had before (a server) do not belong to it. CPU time is that of every process seen, as last
    seen, or what the kernel says about the command and the children it waited for, whichever is more.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    apart = {process.pid for process in descendants()}
    ticks: dict[tuple[int, int], int] = {}
    peak = 0
    started = time.monotonic()
    with open(log, "wb") as out:
        child = subprocess.Popen(
            command, env=dict(environment), cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
    status, waited = None, 0.0
    while status is None:
        processes = descendants(apart)
        ticks |= {(process.pid, process.started): process.cpu_ticks for process in processes}
        peak = max(peak, sum(process.rss_bytes for process in processes))
        time.sleep(SAMPLE_SECONDS)
        pid, code, usage = os.wait4(child.pid, os.WNOHANG)
        if pid:
            status, waited = os.waitstatus_to_exitcode(code), usage.ru_utime + usage.ru_stime
            child.returncode = status
    seconds = time.monotonic() - started
    _settle(apart)
    return Usage(status, seconds, max(waited, sum(ticks.values()) / _TICK), peak)


def descendants(apart: Collection[int] = ()) -> list[_Process]:
    """All living descendants of this process but `apart` and theirs."""
    children: dict[int, list[_Process]] = {}
    for process in _processes():
        children.setdefault(process.parent, []).append(process)
    found: list[_Process] = []
    waiting = [os.getpid()]
    while waiting:
        for process in children.get(waiting.pop(), ()):
            if process.pid not in apart:
                found.append(process)
                waiting.append(process.pid)
    return found


def _settle(apart: Collection[int]) -> None:
    """Wait for what the command left behind; kill what does not end, so that the next one has the machine."""
    deadline = time.monotonic() + _GRACE_SECONDS
    while left := descendants(apart):
        for process in left:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                if process.parent == os.getpid():
                    os.waitpid(process.pid, os.WNOHANG)
                if time.monotonic() > deadline:
                    os.kill(process.pid, signal.SIGKILL)
        time.sleep(0.05)


def _processes() -> Iterator[_Process]:
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", "rb") as file:
                fields = file.read().rpartition(b") ")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        ticks = int(fields[11]) + int(fields[12])
        yield _Process(int(entry), int(fields[1]), int(fields[19]), ticks, int(fields[21]) * _PAGE)
