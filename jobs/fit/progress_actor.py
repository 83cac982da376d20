"""How the driver sees training: an actor that holds where the first worker is, and the watch that reads it.

The watch shows progress and ends a run in which nothing moves. What it cannot see it does not judge.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import ActorDiedError, GetTimeoutError, RayError

from cluster.gcs_watchdog import give_up
from cluster.placement import start_beside_driver
from jobs.runtime.progress import Progress

#: Longest wait for an answer of the progress actor, in seconds.
_READ_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class TrainingProgress:
    """Where the first worker is: steps done, over all stages, and the figures of its last eval step (`loss` is the mean
    since the one before, None at the first)."""

    steps: int
    stage: str
    loss: float | None
    score: float
    best_score: float


class ProgressActor:
    """Actor: what the first worker posted last, for the driver to show."""

    def __init__(self) -> None:
        self.last: TrainingProgress | None = None

    def post(self, progress: TrainingProgress) -> None:
        """Replace what is shown."""
        self.last = progress

    def read(self) -> TrainingProgress | None:
        """What is shown; nothing when the actor was started (again) and no worker has posted since."""
        return self.last


def start_progress_actor() -> Any:
    """The actor, beside the driver, started again when it dies."""
    return start_beside_driver(ProgressActor)


@contextmanager
def watched(
    progress_actor: Any, progress: Progress, stalled: float, end: Callable[[str], object] = give_up
) -> Iterator[None]:
    """Show where training is while the block runs.

    No new step for `stalled` seconds is the `end`: whatever Ray Train waits for, it is not going to come. A progress
    actor that is lost for good ends only the watch.
    """
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(progress_actor, Shown(progress), stalled, end, ended), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join(2 * _READ_SECONDS)


def _watch(
    progress_actor: Any, shown: Shown, stalled: float, end: Callable[[str], object], ended: threading.Event
) -> None:
    """Until the block has ended: read the progress actor, twice a second."""
    moved = time.monotonic()
    while not ended.wait(0.5):
        if time.monotonic() - moved > stalled:
            end(f"fit: training has shown nothing new for {stalled:g} s: run again to continue from its checkpoint")
            return
        try:
            if shown.update(ray.get(progress_actor.read.remote(), timeout=_READ_SECONDS)):
                moved = time.monotonic()
        except GetTimeoutError:  # late, or Ray itself hangs: that is no sign of training
            continue
        except ActorDiedError:
            shown.progress.note(
                "the actor that shows progress is lost: training goes on, unseen, without cluster.stalled_seconds"
            )
            return
        except RayError:  # cannot see for now
            moved = time.monotonic()


class Shown:
    """What the user has been shown."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._last: TrainingProgress | None = None
        self._steps = 0

    def update(self, new: TrainingProgress | None) -> bool:
        """Show what the progress actor says; whether training has moved. Stage and steps tell: a loss that is NaN never
        equals itself."""
        if new is None or new == self._last:
            return False
        last, self._last = self._last, new
        if last is None:
            self.progress.begin(new.steps)
            self._steps = new.steps
        more, self._steps = max(0, new.steps - self._steps), max(self._steps, new.steps)
        loss = {} if new.loss is None else {"loss": new.loss}
        self.progress.set(more, stage=new.stage, **loss, held_out=new.score, best=new.best_score)
        return last is None or (new.stage, new.steps) != (last.stage, last.steps)
