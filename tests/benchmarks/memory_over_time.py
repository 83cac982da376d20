"""Resident memory of a command and all it starts, sampled until it ends: driver, workers, Ray itself."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib as mpl
import psutil

SAMPLE_SECONDS = 0.1
ROLES = ("driver", "workers", "Ray")


@dataclass
class Curve:
    """What was seen of one run: `gb` of the source, `seconds` of each sample, and per role the resident memory in MB at
    each (of the largest process: driver, worker; of all together: Ray). `high` is the kernel's own mark of the highest
    that any one process of a role had, `own` the highest part of that which is no file."""

    name: str
    gb: float
    seconds: list[float] = field(default_factory=list)
    resident: dict[str, list[float]] = field(default_factory=lambda: {role: [] for role in ROLES})
    high: dict[str, float] = field(default_factory=lambda: dict.fromkeys(ROLES, 0.0))
    own: dict[str, float] = field(default_factory=lambda: dict.fromkeys(ROLES, 0.0))

    def peak_mb(self, role: str) -> float:
        """The highest resident memory of one process of this role."""
        return self.high[role]

    def summary(self) -> dict[str, str | float]:
        """A row of the table."""
        return {
            "source": self.name,
            "gb": round(self.gb, 3),
            "seconds": round(self.seconds[-1], 1),
            "worker_peak_mb": round(self.high["workers"], 1),
            "worker_own_mb": round(self.own["workers"], 1),
            "driver_peak_mb": round(self.high["driver"], 1),
            "ray_all_mb": round(max(self.resident["Ray"]), 1),
        }


def watch(command: Sequence[str], folder: Path, name: str, store_bytes: int) -> Curve:
    """Run a command that compresses a source to its end. `SystemExit` when it fails."""
    curve = Curve(name, store_bytes / 1e9)
    started = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    driver = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, env=environment)
    roles: dict[int, str] = {}
    while driver.poll() is None:
        _sample(curve, driver.pid, roles, time.monotonic() - started)
        time.sleep(SAMPLE_SECONDS)
    if driver.returncode:
        raise SystemExit(f"compress of {name} ended with status {driver.returncode}")
    return curve


def draw(curves: Sequence[Curve], path: Path) -> None:
    """One panel for each run, all on one scale of memory."""
    mpl.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(curves), figsize=(4 * len(curves), 3.5), sharey=True, layout="constrained")
    for panel, curve in zip(panels, curves, strict=True):
        for role in ROLES:
            panel.plot(curve.seconds, curve.resident[role], label=role if role != "Ray" else "Ray (all)")
        panel.set(title=f"{curve.name}, {curve.gb:.2g} GB", xlabel="seconds")
    panels[0].set(ylabel="resident memory, MB", ylim=(0, None))
    panels[0].legend()
    figure.savefig(path, dpi=120)


def _sample(curve: Curve, driver: int, roles: dict[int, str], seconds: float) -> None:
    found: dict[str, list[float]] = {role: [] for role in ROLES}
    for pid in (driver, *_descendants(driver)):
        status = dict(_status(pid))
        if "VmRSS" not in status:  # it has ended, or is about to
            continue
        if roles.get(pid) in (None, "Ray"):  # a worker of Ray's gets its name with its task
            roles[pid] = _role(pid, driver, str(status["Name"]))
        role = roles[pid]
        found[role].append(float(status["VmRSS"]) / 1e3)
        curve.high[role] = max(curve.high[role], float(status["VmHWM"]) / 1e3)
        curve.own[role] = max(curve.own[role], float(status["RssAnon"]) / 1e3)
    curve.seconds.append(seconds)
    for role, values in found.items():
        curve.resident[role].append(sum(values) if role == "Ray" else max(values, default=0.0))


def _role(pid: int, driver: int, name: str) -> str:
    if pid == driver:
        return "driver"
    return "workers" if "MapWork" in name else "Ray"


def _descendants(pid: int) -> Iterable[int]:
    try:
        return [process.pid for process in psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _status(pid: int) -> Iterator[tuple[str, str]]:
    """Name and memory of a process in kB, as the kernel tells them."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return
    for line in lines:
        key, _, value = line.partition(":")
        yield key, value.split("kB")[0].strip()
