"""Compress and fit under random faults: what is lost, doubled or wrong in the end? Nothing may be.

    python -m tests.benchmarks.chaos --minutes 10 --seed 1 [--shards 300] [--rows 400] [--job compress|fit|both]

A source of small shards on SeaweedFS behind a proxy that breaks requests, commands whose actors, raylet, head and
driver are killed or stopped, a server that is killed and started again, a scratch disk that fills up. A command that
fails is run again, as a scheduler would. In the end: one undisturbed run, `verify`, and an account of every row that
uses none of the product's code. Prints a table and one line of JSON; exit status 0 only if nothing was lost, doubled or
wrong and no command was stuck. Linux; the full disk needs root.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from jobs.storage.s3_clients import request_client
from tests.benchmarks.chaos_faults import Disturber, SmallDisk
from tests.benchmarks.chaos_fit import disturbed_fit
from tests.benchmarks.chaos_source import DIM, OUTPUT_DIM, Account, Source, account
from tests.benchmarks.fault_proxy import FaultProxy
from tests.benchmarks.sources import make_adaptor
from tests.s3_server import ServerProcess

ROOT = Path(__file__).resolve().parents[2]
BUCKET = "chaos"
#: Share of the requests that each fault hits.
RATES = {
    "500": 0.01,
    "503": 0.02,
    "reset": 0.01,
    "cut request": 0.005,
    "lost reply": 0.01,
    "cut reply": 0.01,
    "hang": 0.002,
    "slow link": 0.005,
    "flipped bit": 0.005,
}


@dataclass
class Site:
    """Everything that a command runs in: server, proxy, scratch disk, and what was done to them."""

    server: ServerProcess
    proxy: FaultProxy
    disk: SmallDisk
    disturber: Disturber
    folder: Path
    stuck_seconds: float
    runs: Counter[str] = field(default_factory=Counter)

    def config(self, name: str, sections: Mapping[str, Mapping[str, Any]]) -> Path:
        """A configuration file whose sections with a uri reach the server through the proxy."""
        reach = {"endpoint": self.proxy.endpoint, "attempts": 8, "request_timeout_seconds": 5}
        full = {key: {**part, "filesystem": reach} if "uri" in part else part for key, part in sections.items()}
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(full))
        return path

    def run(self, verb: str, config: Path, until: float | None = None, flags: tuple[str, ...] = ()) -> int:
        """Run a command, disturbed until a moment of the monotonic clock; its exit status, -1 when it was stuck."""
        environment = {
            **os.environ,
            **self.server.server.environment,
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(self.disk.folder),
            "RAY_TMPDIR": "/tmp",  # Ray would follow TMPDIR otherwise
        }
        self.proxy.rates = RATES if until else {}
        with open(self.folder / "log.txt", "ab") as log:
            command = [sys.executable, "-m", "jobs", verb, str(config), *flags]
            driver = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
            disturbed = self.disturber.disturbing(driver, until) if until else contextlib.nullcontext()
            started = set(_descendants(driver.pid))
            with disturbed:
                status = self._wait(driver, started)
        _end(started)
        self.runs[f"{verb} {'disturbed' if until else 'undisturbed'}"] += 1
        self.runs[f"exit {status}"] += 1
        return status

    def _wait(self, driver: subprocess.Popen[bytes], started: set[psutil.Process]) -> int:
        deadline = time.monotonic() + self.stuck_seconds
        while driver.poll() is None:
            started |= set(_descendants(driver.pid))
            if time.monotonic() > deadline:
                self.runs["stuck"] += 1
                self._tell_where(driver.pid)
                driver.kill()
                driver.wait()
                return -1
            time.sleep(0.2)
        return driver.returncode

    def _tell_where(self, pid: int) -> None:
        """What every thread of a stuck driver is doing, into a file beside the log."""
        with open(self.folder / f"stuck-{pid}.txt", "wb") as file:
            command = [str(Path(sys.executable).with_name("py-spy")), "dump", "--nonblocking", "--pid", str(pid)]
            subprocess.run(command, stdout=file, stderr=file, check=False)


def _descendants(pid: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).children(recursive=True)
    return []


def _end(processes: set[psutil.Process]) -> None:
    """What a killed driver left behind ends by itself soon, or here."""
    _, alive = psutil.wait_procs(processes, timeout=15)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGCONT)
            process.kill()


def _compress(site: Site, source: Source, minutes: float) -> dict[str, Any]:
    """Rounds of disturbed runs, each into an output version of its own, until the time is up."""
    client = request_client(site.server.server.options)
    expected = source.expected(_linear(site))

    def sections(output: str) -> dict[str, Any]:
        return {
            "source": {"uri": f"s3://{BUCKET}/source"},
            "adaptor": {"uri": f"s3://{BUCKET}/adaptor"},
            "output": {"dim": OUTPUT_DIM, "uri": f"s3://{BUCKET}/{output}"},
            "cluster": {"workers": 2},
        }

    reading = {"reading": {"bad_rows": "quarantine", "timeout_seconds": 120}}
    began = time.monotonic()
    status = site.run("compress", site.config("calm", sections("calm") | reading))
    calm_seconds = time.monotonic() - began
    rounds: list[dict[str, Any]] = []
    if status != 0 or not account(client, f"{BUCKET}/calm", expected).sound:
        raise SystemExit(f"the undisturbed run ended with {status}: see {site.folder}/log.txt")
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        output = f"out-{len(rounds)}"
        config = site.config(output, sections(output) | reading)
        began, reruns = time.monotonic(), -1
        while time.monotonic() < end:
            reruns += 1
            if site.run("compress", config, until=end) == 0:
                break
        seconds = time.monotonic() - began
        last = site.run("compress", config)
        verified = site.run("verify", site.config(f"verify-{output}", sections(output)))
        found = account(client, f"{BUCKET}/{output}", expected)
        rounds.append(
            {"reruns": reruns, "seconds": round(seconds, 1), "last": last, "verify": verified} | asdict(found)
        )
    sound = all(r["last"] == r["verify"] == 0 and _account(r).sound for r in rounds)
    return {"calm_seconds": round(calm_seconds, 1), "rounds": rounds, "sound": sound}


def _account(numbers: dict[str, Any]) -> Account:
    return Account(**{name: numbers[name] for name in ("expected", "present", "missing", "doubled", "wrong")})


def _linear(site: Site) -> Any:
    from adaptor import load

    return load(site.folder / "adaptor").tensors["linear"]


def _fill(site: Site, source: Source) -> None:
    client = request_client(site.server.server.options)
    client.call_s3("create_bucket", Bucket=BUCKET)
    make_adaptor(site.folder / "adaptor", DIM, [OUTPUT_DIM])
    for path in (site.folder / "adaptor").iterdir():
        client.pipe_file(f"{BUCKET}/adaptor/{path.name}", path.read_bytes())
    for key, content in source.files():
        client.pipe_file(f"{BUCKET}/source/{key}", content)


def _report(site: Site, results: dict[str, Any]) -> None:
    injected = {**site.proxy.injected, **site.disturber.injected}
    print(f"{'faults injected':<28}{sum(injected.values()):>8,}  ({site.proxy.requests:,} requests)")
    for kind, count in injected.items():
        print(f"  {kind:<26}{count:>8,}")
    print("commands")
    for kind, count in sorted(site.runs.items()):
        print(f"  {kind:<26}{count:>8,}")
    for number, one in enumerate(results.get("compress", {}).get("rounds", [])):
        print(f"compress, round {number}: {one['reruns']} re-runs, {one['seconds']:.0f} s", end=" ")
        print(f"(undisturbed {results['compress']['calm_seconds']:.0f} s)")
        for name in ("expected", "present", "missing", "doubled", "wrong"):
            print(f"  rows {name:<21}{one[name]:>8,}")
        for name, count in one["leftovers"].items():
            print(f"  {name:<26}{count:>8,}")
    if "fit" in results:
        print("fit: " + ", ".join(f"{name} {value}" for name, value in results["fit"].items()))
    print(json.dumps(results | {"injected": injected, "runs": site.runs, "requests": site.proxy.requests}))


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shards", type=int, default=300)
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--job", choices=("compress", "fit", "both"), default="both")
    parser.add_argument("--fault-seconds", type=float, default=6, help="mean time between faults of processes")
    parser.add_argument("--stuck-seconds", type=float, default=600, help="a command that takes longer is stuck")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    (folder / "s3").mkdir()
    server, disk = ServerProcess(folder / "s3"), SmallDisk(folder / "scratch")
    os.environ.update(server.server.environment)
    server.start()
    try:
        with FaultProxy(server.server.endpoint, given.seed) as proxy:
            disturber = Disturber(server, disk, given.seed, given.fault_seconds)
            site = Site(server, proxy, disk, disturber, folder, given.stuck_seconds)
            source = Source(given.shards, given.rows, given.seed)
            _fill(site, source)
            results: dict[str, Any] = {"seed": given.seed, "minutes": given.minutes}
            parts = 2 if given.job == "both" else 1
            if given.job != "fit":
                results["compress"] = _compress(site, source, given.minutes / parts)
            if given.job != "compress":
                results["fit"] = disturbed_fit(site, BUCKET, given.minutes / parts)
            _report(site, results)
    finally:
        server.kill()
        disk.close()
    sound = all(part["sound"] for name, part in results.items() if name in ("compress", "fit"))
    return 0 if sound and not site.runs["stuck"] else 1


if __name__ == "__main__":
    sys.exit(main())
