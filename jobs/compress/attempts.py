"""How often each work item was begun, what became of it, and the end of those that hang."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import ray

from cluster.placement import start_beside_driver
from jobs.commits.failures import Cause, Tried

#: Parts of the time limit between two looks at the clock.
_LOOKS = 20
_LONGEST_LOOK_SECONDS = 5.0


@dataclass(frozen=True)
class Begun:
    """The `attempt` that begins now (1 is the first), how many before it ran out of time, and how an attempt of this
    run has ended: with the work item `done`, or failed for good."""

    attempt: int
    timed_out: int
    cause: Cause | None = None
    done: bool = False


class Attempts:
    """Ray actor beside the driver, for as long as the job lasts. Kills every worker that makes no progress.

    Ray tries a task whose worker died again for ever: this counts, on from what earlier runs `tried`. The clock is this
    process's own, so those of other machines do not matter, and a worker is killed from outside, whatever it hangs in
    (SIGSTOP and native code, too).
    """

    def __init__(
        self,
        timeout_seconds: float,
        tried: Mapping[str, Tried] | None = None,
        kill: Callable[[Any], None] | None = None,
    ) -> None:
        tried = tried or {}
        self._begun = Counter({key: before.begun for key, before in tried.items()})
        self._timed_out = Counter({key: before.timed_out for key, before in tried.items()})
        self._done: set[str] = set()
        self._failed: dict[str, Cause] = {}
        self._running: dict[str, tuple[Any, float]] = {}
        self._timeout = timeout_seconds
        self._kill = kill or (lambda worker: ray.kill(worker, no_restart=False))
        self._lock = threading.Lock()
        threading.Thread(target=self._watch, daemon=True).start()

    def begin(self, key: str, worker: Any) -> Begun:
        """Count a start of the work item by the actor `worker`, and watch over it until it ends."""
        with self._lock:
            self._begun[key] += 1
            self._running[key] = (worker, time.monotonic() + self._timeout)
            return Begun(self._begun[key], self._timed_out[key], self._failed.get(key), key in self._done)

    def getting_on(self, key: str) -> None:
        """The worker has come further with the item: its time begins anew."""
        with self._lock:
            if key in self._running:
                self._running[key] = (self._running[key][0], time.monotonic() + self._timeout)

    def end(self, key: str, outcome: Cause | Literal["done", "stop"]) -> None:
        """The worker is through with the item; a `Cause` tells that it failed for good."""
        with self._lock:
            self._running.pop(key, None)
            if isinstance(outcome, Cause):
                self._failed[key] = outcome
            elif outcome == "done":
                self._done.add(key)

    def _watch(self) -> None:
        while True:
            time.sleep(min(self._timeout / _LOOKS, _LONGEST_LOOK_SECONDS))
            now = time.monotonic()
            with self._lock:
                late = {key: worker for key, (worker, until) in self._running.items() if now > until}
                for key in late:
                    del self._running[key]
                    self._timed_out[key] += 1
            for worker in late.values():
                self._kill(worker)


class Pulse:
    """Tells the watch, once in a while, that the work item gets on."""

    def __init__(self, attempts: Any, key: str, timeout_seconds: float) -> None:
        self._attempts, self._key = attempts, key
        self._pause = min(timeout_seconds / 10, 10.0)
        self._next = time.monotonic() + self._pause

    def __call__(self) -> None:
        """Called after each batch."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + self._pause
            self._attempts.getting_on.remote(self._key)


def start_attempts(timeout_seconds: float, tried: Mapping[str, Tried]) -> Any:
    """The actor, on this node, as it is to live as long as the driver."""
    return start_beside_driver(Attempts, timeout_seconds, tried)
