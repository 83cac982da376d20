"""How near the end of memory is: a worker that sees it coming takes less, before Ray or the kernel kills it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

#: Part of a limit from which on memory is scarce. The rest must hold one more batch.
_SCARCE = 0.9
#: Ray kills a worker when this part of its machine or container is in use, unless this variable says another.
_RAY_THRESHOLD, _RAY_VARIABLE = 0.95, "RAY_memory_usage_threshold"
_CGROUP_2, _CGROUP_1 = Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/memory")

#: A limit in bytes, and what tells how many bytes of it are in use.
Limit = tuple[int, Callable[[], int]]


def scarce(limits: Sequence[Limit]) -> bool:
    """Whether more than nine tenths of a limit are in use (some 20 µs)."""
    return any(used() > _SCARCE * limit for limit, used in limits)


def memory_limits() -> list[Limit]:
    """Those of the machine and of the container, as Ray counts them. None where the system tells none (no Linux)."""
    part = float(os.environ.get(_RAY_VARIABLE, _RAY_THRESHOLD))
    limits: list[Limit] = []
    if total := _sizes(Path("/proc/meminfo")).get("MemTotal"):
        limits.append((int(part * (total << 10)), _used_by_all))
    for folder, limit, used in ((_CGROUP_2, "max", "current"), (_CGROUP_1, "limit_in_bytes", "usage_in_bytes")):
        text = _text(folder / f"memory.{limit}").strip()
        if text.isdigit():  # "max" is no limit, and a limit beyond the machine's memory does not matter
            limits.append((int(part * int(text)), partial(_used_by_group, folder, used)))
    return limits


def _used_by_all() -> int:
    sizes = _sizes(Path("/proc/meminfo"))
    return (sizes["MemTotal"] - sizes["MemAvailable"]) << 10


def _used_by_group(folder: Path, used: str) -> int:
    """Without files in the page cache that the kernel may drop at any time."""
    sizes = _sizes(folder / "memory.stat")
    return int(_text(folder / f"memory.{used}")) - sizes.get("total_inactive_file", sizes.get("inactive_file", 0))


def _sizes(file: Path) -> dict[str, int]:
    return {name: int(size) for name, size in re.findall(r"^(\w+):?\s+(\d+)", _text(file), re.MULTILINE)}


def _text(file: Path) -> str:
    """Empty when there is no such file."""
    try:
        return file.read_text()
    except OSError:
        return ""
