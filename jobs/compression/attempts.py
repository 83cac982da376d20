"""How often each work item was begun, which failed for good, and the end of those that hang."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from jobs.store.failures import Cause

#: Parts of the time limit between two looks at the clock.
_LOOKS = 20
_LONGEST_LOOK_SECONDS = 5.0


@dataclass(frozen=True)
class Begun:
    """The `attempt` that begins now (1 is the first), how many before it ran out of time, and how the work item failed
    for good, if it has."""

    attempt: int
    timed_out: int
    cause: Cause | None


class Attempts:
    """Ray actor beside the driver, for as long as the job lasts. Kills every worker that takes too long.

    Ray tries a task whose worker died again for ever: this counts. The clock is this process's own, so those of other
    machines do not matter, and a worker is killed from outside, whatever it hangs in (SIGSTOP and native code, too).
    """

    def __init__(self, timeout_seconds: float, kill: Callable[[Any], None] | None = None) -> None:
        self._begun: Counter[str] = Counter()
        self._timed_out: Counter[str] = Counter()
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
            return Begun(self._begun[key], self._timed_out[key], self._failed.get(key))

    def end(self, key: str, cause: Cause | None = None) -> None:
        """The worker is through with the item; a `cause` tells that it failed for good."""
        with self._lock:
            self._running.pop(key, None)
            if cause is not None:
                self._failed[key] = cause

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


def start_attempts(timeout_seconds: float) -> Any:
    """The actor, on this node, as it is to live as long as the driver."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    actor = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Attempts)
    return actor.options(scheduling_strategy=here).remote(timeout_seconds)
