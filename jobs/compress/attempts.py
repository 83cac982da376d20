"""How often each work item was begun, what became of it, and the end of workers that hang."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import ray

from jobs.commits.failures import AttemptCount, Cause

#: The watch looks at the clock so many times in a time limit, and at least every few seconds.
_LOOKS, _LONGEST_PAUSE_SECONDS = 20, 5.0
#: How long workers wait when the store throttles one of them: the first time, and at most.
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 1.0, 60.0

#: How an attempt ends: the work item is done, or failed.
Outcome = Cause | Literal["done"]


@dataclass(frozen=True)
class Attempt:
    """An attempt that begins, after `wait` seconds: its number (from 1), how many before it timed out, how one of this
    run has ended."""

    number: int
    timed_out: int
    outcome: Outcome | None = None
    wait: float = 0.0


class Attempts:
    """Ray actor beside the driver, for as long as the job lasts. Kills every worker that makes no progress.

    Ray repeats a task whose worker died for ever: this counts, on from what earlier runs `noted`. Only this process's
    clock is read. Workers are killed from outside, whatever they hang in (SIGSTOP and native code, too).
    """

    def __init__(
        self,
        timeout_seconds: float,
        noted: Mapping[str, AttemptCount] | None = None,
        kill: Callable[[Any], None] = lambda worker: ray.kill(worker, no_restart=False),
    ) -> None:
        noted = noted or {}
        self._begun = Counter({key: count.begun for key, count in noted.items()})
        self._timed_out = Counter({key: count.timed_out for key, count in noted.items()})
        self._outcomes: dict[str, Outcome] = {}
        self._running: dict[str, tuple[Any, float]] = {}
        self._timeout, self._kill = timeout_seconds, kill
        self._wait, self._wait_ends = 0.0, 0.0
        self._lock = threading.Lock()
        threading.Thread(target=self._watch, daemon=True).start()

    def begin(self, key: str, worker: Any) -> Attempt:
        """Count a start of the work item by the actor `worker`, and watch over it until it ends."""
        with self._lock:
            self._begun[key] += 1
            self._running[key] = (worker, time.monotonic())
            wait = self._waiting(key)
            return Attempt(self._begun[key], self._timed_out[key], self._outcomes.get(key), wait)

    def throttled(self, key: str) -> float:
        """The store throttles this work item: all workers wait before they begin another, twice as long each time.
        Returns how many seconds this one waits; its time begins anew after them."""
        with self._lock:
            if time.monotonic() >= self._wait_ends:  # what others send until then was under way before
                self._wait = min(max(2 * self._wait, _FIRST_WAIT_SECONDS), _LONGEST_WAIT_SECONDS)
                self._wait_ends = time.monotonic() + self._wait
            return self._waiting(key)

    def extend(self, key: str) -> None:
        """The worker makes progress: its time begins anew."""
        with self._lock:
            if key in self._running:
                self._running[key] = (self._running[key][0], time.monotonic() + self._timeout)

    def end(self, key: str, outcome: Outcome) -> None:
        """The attempt has ended."""
        with self._lock:
            self._running.pop(key, None)
            self._outcomes[key] = outcome
            if outcome == "done":
                self._wait /= 2

    def _waiting(self, key: str) -> float:
        """Seconds that the common wait still takes; the time of the item begins after them."""
        now = time.monotonic()
        wait = max(0.0, self._wait_ends - now)
        if key in self._running:
            self._running[key] = (self._running[key][0], now + wait + self._timeout)
        return wait

    def _watch(self) -> None:
        while True:
            time.sleep(min(self._timeout / _LOOKS, _LONGEST_PAUSE_SECONDS))
            now = time.monotonic()
            with self._lock:
                late = {key: worker for key, (worker, deadline) in self._running.items() if now > deadline}
                for key in late:
                    del self._running[key]
                self._timed_out.update(late.keys())
            for worker in late.values():
                self._kill(worker)


class Heartbeat:
    """Called after each batch: tells the watch, once in a while, that the work item makes progress."""

    def __init__(self, attempts: Any, key: str, timeout_seconds: float) -> None:
        self._attempts, self._key = attempts, key
        self._pause = min(timeout_seconds / 10, 10.0)
        self._next = time.monotonic() + self._pause

    def __call__(self) -> None:
        """A batch is done."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + self._pause
            self._attempts.extend.remote(self._key)
