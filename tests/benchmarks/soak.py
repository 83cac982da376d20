"""One compress job over very many small shards: do memory, file descriptors and threads stay flat?

    python -m tests.benchmarks.soak [--minutes 30] [--shards 100000] [--rows 200] [--output soak]

The source is one shard under many names (hard links). Driver and workers are sampled every few seconds; when the time
is up, the job is interrupted as a scheduler would (SIGTERM). Prints a table and one line of JSON, writes
`<output>.json` and `<output>.png`; exit status 1 when anything grows, or the interrupt takes more than ten seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

from tests.benchmarks.memory import OUTPUT_DIM, ROOT, make_source
from tests.benchmarks.sources import make_adaptor

DIM = 64
SAMPLE_SECONDS = 2.0
#: Samples before this share of the time are warm-up: libraries are loaded, pools and caches filled, and heaps reach the
#: extent that they keep (after some 80,000 small shards).
WARM_UP = 0.5
#: What counts as growth over the whole time: share of the mean for memory, a number for descriptors and threads. Pages
#: that processes share count apart: those of Ray's object store stay mapped once a worker has touched them.
MOST_GROWTH = {"private_mb": 0.05, "shared_mb": np.inf, "descriptors": 2.0, "threads": 2.0}
INTERRUPT_SECONDS = 10.0
#: Names of one file: ext4 allows 65,000.
_LINKS = 50_000

#: Role of a process ("driver", "worker 1" …) → samples of the second and each of the measures.
Samples = dict[str, list[tuple[float, ...]]]


def fill(place: Path, shards: int, rows: int) -> None:
    """A source of one shard under many names, and an adaptor."""
    make_adaptor(place / "adaptor", DIM, [OUTPUT_DIM])
    make_source(place / "one", rows, DIM, rows)
    (shard,) = (place / "one").iterdir()
    source = shard
    for number in range(shards):
        link = place / "source" / f"{number // 1000:04}" / f"{number:07}.parquet"
        if number % 1000 == 0:
            link.parent.mkdir(parents=True)
        if number % _LINKS == 0:
            shutil.copyfile(shard, link)
            source = link
        else:
            os.link(source, link)


def watch(driver: subprocess.Popen[bytes], seconds: float) -> Samples:
    """Sample the driver and its actors until the time is up or the driver has ended."""
    samples: Samples = defaultdict(list)
    roles: dict[int, str] = {driver.pid: "driver"}
    began = time.monotonic()
    while driver.poll() is None and time.monotonic() - began < seconds:
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in psutil.Process(driver.pid).children(recursive=True):
                if process.pid not in roles and "MapWorker" in _name(process):
                    roles[process.pid] = f"worker {len(roles)}"
        for pid, role in roles.items():
            with contextlib.suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                now, memory = time.monotonic() - began, process.memory_info()
                private, shared = (memory.rss - memory.shared) / 1e6, memory.shared / 1e6
                samples[role].append((now, private, shared, process.num_fds(), process.num_threads()))
        time.sleep(SAMPLE_SECONDS)
    return samples


def _name(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.name()
    return ""


def interrupt(driver: subprocess.Popen[bytes]) -> float:
    """SIGTERM; seconds until the driver and all that it started have ended."""
    started = psutil.Process(driver.pid).children(recursive=True) if driver.poll() is None else []
    began = time.monotonic()
    driver.terminate()
    driver.wait()
    seconds = time.monotonic() - began
    for process in psutil.wait_procs(started, timeout=30)[1]:
        process.send_signal(signal.SIGKILL)
    return seconds


def validate(samples: Samples) -> list[dict[str, Any]]:
    """For each role and measure: mean, growth over the whole time from a line through the samples, and whether flat."""
    found = []
    for role, rows in samples.items():
        numbers = np.array(rows)
        kept = numbers[numbers[:, 0] >= numbers[-1, 0] * WARM_UP]
        for column, (measure, most) in enumerate(MOST_GROWTH.items(), start=1):
            slope = _slope(kept[:, 0], kept[:, column])
            growth, mean = slope * (kept[-1, 0] - kept[0, 0]), float(kept[:, column].mean())
            allowed = most * mean if measure.endswith("_mb") else most
            found.append(
                {
                    "process": role,
                    "measure": measure,
                    "mean": round(mean, 1),
                    "first": round(float(kept[0, column]), 1),
                    "last": round(float(kept[-1, column]), 1),
                    "growth": round(growth, 2),
                    "per_hour": round(slope * 3600, 2),
                    "flat": bool(growth <= allowed),
                }
            )
    return found


def _slope(seconds: npt.NDArray[np.float64], values: npt.NDArray[np.float64]) -> float:
    return float(np.polyfit(seconds, values, 1)[0]) if len(seconds) > 2 else 0.0


def draw(samples: Samples, path: Path) -> None:
    """One panel for each measure, one line for each process."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(len(MOST_GROWTH), 1, sharex=True, figsize=(9, 8))
    for column, (measure, panel) in enumerate(zip(MOST_GROWTH, panels, strict=True), start=1):
        for role, rows in samples.items():
            panel.plot([row[0] / 60 for row in rows], [row[column] for row in rows], label=role)
        panel.set_ylabel(measure)
        panel.set_ylim(bottom=0)
    panels[0].legend()
    panels[-1].set_xlabel("minutes")
    figure.savefig(path, dpi=100)


def main() -> int:
    """Run the job and validate it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--shards", type=int, default=100_000)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--output", type=Path, default=Path("soak"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        fill(place, given.shards, given.rows)
        config = {
            "source": {"uri": str(place / "source")},
            "adaptor": {"uri": str(place / "adaptor")},
            "output": {"dim": 16, "uri": str(place / "output")},
            "cluster": {"workers": 2},
        }
        (place / "config.json").write_text(json.dumps(config))
        command = [sys.executable, "-m", "jobs", "compress", str(place / "config.json")]
        with open(place / "log.txt", "wb") as log:
            driver = subprocess.Popen(
                command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=log, stderr=log
            )
            samples = watch(driver, 60 * given.minutes)
            early = driver.poll() is not None
            seconds = interrupt(driver)
        runs = sum(1 for _ in (place / "output").glob("*/_ledger/*.json"))
        said = (place / "log.txt").read_text(errors="replace").splitlines()
    measures = validate(samples)
    print(
        f"{runs:,} shard-runs in {given.minutes:g} minutes; interrupted in {seconds:.1f} s: {said[-1] if said else ''}"
    )
    if early:
        print("the job ended before the time was up: give it more shards")
    columns = list(measures[0])
    print("".join(f"{column:>14}" for column in columns))
    for row in measures:
        print("".join(f"{row[column]!s:>14}" for column in columns))
    result = {
        "minutes": given.minutes,
        "shard_runs": runs,
        "interrupt_seconds": round(seconds, 1),
        "measures": measures,
    }
    given.output.with_suffix(".json").write_text(json.dumps(result | {"samples": samples}))
    draw(samples, given.output.with_suffix(".png"))
    print(json.dumps(result))
    flat = all(row["flat"] for row in measures)
    return 0 if flat and not early and seconds <= INTERRUPT_SECONDS and driver.returncode == 130 else 1


if __name__ == "__main__":
    sys.exit(main())
