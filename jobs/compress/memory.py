"""How near the end of memory is: a worker that sees it coming takes less, before Ray or the kernel kills it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

#: Part of a limit from which on memory is scarce. What is left must hold one more batch.
_NEAR = 0.9
#: Ray kills a worker when this part of its machine or container is in use, unless this variable says another.
_RAY_THRESHOLD, _RAY_VARIABLE = 0.95, "RAY_memory_usage_threshold"
_CGROUP_2, _CGROUP_1 = Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/memory")

#: A limit in bytes, and what tells how much of it is in use.
Limit = tuple[int, Callable[[], int]]


class Memory:
    """Tells whether one of the limits is near; by itself the machine's and the container's, as Ray counts them."""

    def __init__(self, limits: Sequence[Limit] | None = None) -> None:
        self._limits = found_limits() if limits is None else limits

    def scarce(self) -> bool:
        """Whether more than nine tenths of a limit are in use (some 20 µs)."""
        return any(used() > _NEAR * limit for limit, used in self._limits)


def found_limits() -> list[Limit]:
    """The limits of this process. Where the system tells none (no Linux), none."""
    threshold = float(os.environ.get(_RAY_VARIABLE, _RAY_THRESHOLD))
    limits: list[Limit] = []
    if total := _sizes(Path("/proc/meminfo")).get("MemTotal"):
        limits.append((total << 10, _used_by_all))
    for folder, name, used in ((_CGROUP_2, "max", "current"), (_CGROUP_1, "limit_in_bytes", "usage_in_bytes")):
        text = _text(folder / f"memory.{name}").strip()
        if text.isdigit():  # "max" is no limit, and a limit beyond the machine's memory does not matter
            limits.append((int(text), lambda folder=folder, used=used: _used_by_group(folder, used)))  # type: ignore[misc]
    return [(int(threshold * limit), used) for limit, used in limits]


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
