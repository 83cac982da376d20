"""What the chaos benchmark does to processes and disks while a command runs: kills, stops, a server that dies, a full
disk."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from tests.s3_server import ServerProcess

#: The deck of faults: how many cards of each kind. It is dealt to the last card before it is shuffled again, so that a
#: run of some minutes meets every kind.
DECK = {
    "kill actor": 6,
    "stop actor": 3,
    "kill raylet": 1,
    "kill head": 1,
    "kill driver": 1,
    "kill server": 2,
    "full disk": 2,
}
_TRAIN = ("RayTrainWorker", "TrainController")
_ACTORS = ("MapWorker", *_TRAIN)


class SmallDisk:
    """A file system of 24 MiB for scratch files, which can be filled up. Needs root; otherwise a plain folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)]
        self.limited = subprocess.run(mount, capture_output=True, check=False).returncode == 0

    def close(self) -> None:
        """Unmount it."""
        if self.limited:
            subprocess.run(["umount", "-l", str(self.folder)], check=False)

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """No byte is free."""
        ballast = self.folder / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while file.write(bytes(1 << 16)):
                pass
        yield
        ballast.unlink(missing_ok=True)


class Disturber:
    """Draws faults at random moments, about every `seconds`, and does them to a running command in a thread."""

    def __init__(self, server: ServerProcess, disk: SmallDisk, seed: int, seconds: float) -> None:
        self._server, self._disk, self._seconds = server, disk, seconds
        self._draws = random.Random(seed)  # noqa: S311 - a benchmark
        self._deck: list[str] = []
        self._keeper = ThreadPoolExecutor(1)
        self.injected: Counter[str] = Counter()

    @contextlib.contextmanager
    def disturbing(self, driver: subprocess.Popen[bytes], until: float) -> Iterator[None]:
        """Disturb this command until it ends, or until a moment of the monotonic clock."""
        over = threading.Event()
        thread = threading.Thread(target=self._disturb, args=(driver, over, until), daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _disturb(self, driver: subprocess.Popen[bytes], over: threading.Event, until: float) -> None:
        kinds: dict[str, Callable[[int], bool]] = {
            "kill actor": lambda pid: _signal(self._one_of(pid, _ACTORS), signal.SIGKILL),
            "stop actor": lambda pid: self._pause(self._one_of(pid, _ACTORS), over),
            "kill raylet": lambda pid: _signal(self._one_of(pid, ("raylet",)), signal.SIGKILL),
            "kill head": lambda pid: _signal(self._one_of(pid, ("gcs_server",)), signal.SIGKILL),
            "kill driver": lambda pid: _signal(psutil.Process(pid), signal.SIGKILL),
            "kill server": lambda _: self._restart(over),
            "full disk": lambda _: self._fill(over),
        }
        while not over.wait(self._draws.expovariate(1 / self._seconds)) and time.monotonic() < until:
            kind = self._card()
            done = False
            with contextlib.suppress(psutil.NoSuchProcess):
                done = driver.poll() is None and kinds[kind](driver.pid)
            if done:
                self.injected[kind] += 1
            else:  # nothing to do it to: its turn comes later
                self._deck.insert(self._draws.randint(0, len(self._deck)), kind)

    def _card(self) -> str:
        if not self._deck:
            self._deck = [kind for kind, count in DECK.items() for _ in range(count)]
            self._draws.shuffle(self._deck)
        return self._deck.pop()

    def _one_of(self, pid: int, names: tuple[str, ...]) -> psutil.Process | None:
        found = []
        for process in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if any(name in process.name() for name in names):
                    found.append(process)
        return self._draws.choice(found) if found else None

    def _pause(self, process: psutil.Process | None, over: threading.Event) -> bool:
        if not _signal(process, signal.SIGSTOP):
            return False
        over.wait(self._draws.uniform(1, 8))
        return _signal(process, signal.SIGCONT) or True

    def _restart(self, over: threading.Event) -> bool:
        self._server.kill()
        over.wait(self._draws.uniform(0.5, 5))
        # The kernel ends the server with the thread that started it, so that thread must stay.
        self._keeper.submit(self._server.start).result()
        return True

    def _fill(self, over: threading.Event) -> bool:
        if not self._disk.limited:
            return False
        with self._disk.full():
            over.wait(self._draws.uniform(1, 5))
        return True


def _signal(process: psutil.Process | None, number: signal.Signals) -> bool:
    if process is None:
        return False
    with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
        os.kill(process.pid, number)
        return True
    return False
