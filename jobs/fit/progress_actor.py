"""How the driver sees training: an actor that holds where the first worker is, and the watch that reads it.

The watch shows progress and ends a run in which nothing moves. What it cannot see it does not judge.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray.exceptions import ActorDiedError, GetTimeoutError, RayError

from adaptor.batches import LABELS, STAGES
from cluster.gcs_watchdog import give_up
from cluster.placement import start_beside_driver
from jobs.runtime.progress import Progress

#: Longest wait for an answer of the progress actor, in seconds.
_LOOK_SECONDS = 5.0


class ProgressActor:
    """Actor: the last look of the first worker and the step that it has come to, for the driver to show."""

    def __init__(self) -> None:
        self.last: dict[str, Any] = {}

    def post(self, numbers: dict[str, Any]) -> None:
        """Replace what is shown."""
        self.last = numbers

    def read(self) -> dict[str, Any]:
        """What is shown; nothing when the progress actor was started (again) and no worker has posted since."""
        return self.last


def start_progress_actor() -> Any:
    """The actor, beside the driver, started again when it dies."""
    return start_beside_driver(ProgressActor)


@contextmanager
def watched(
    progress_actor: Any, progress: Progress, first_stage: int, stalled: float, end: Callable[[str], object] = give_up
) -> Iterator[None]:
    """Show where training is while the block runs; a stage with labels counts on from `first_stage` steps.

    No new step for `stalled` seconds is the `end`: whatever Ray Train waits for, it is not going to come. A progress
    actor that is lost for good ends only the watch.
    """
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(progress_actor, _Shown(progress, first_stage), stalled, end, ended))
    watcher.daemon = True
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join(2 * _LOOK_SECONDS)


def _watch(
    progress_actor: Any, shown: _Shown, stalled: float, end: Callable[[str], object], ended: threading.Event
) -> None:
    """Until the block has ended: read the progress actor, twice a second."""
    moved = time.monotonic()
    while not ended.wait(0.5):
        if time.monotonic() - moved > stalled:
            end(f"fit: training has shown nothing new for {stalled:g} s: run again to continue from its checkpoint")
            return
        try:
            if shown.update(ray.get(progress_actor.read.remote(), timeout=_LOOK_SECONDS)):
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


class _Shown:
    """What the user has been shown."""

    def __init__(self, progress: Progress, first_stage: int) -> None:
        self.progress = progress
        self._first_stage = first_stage
        self._last: dict[str, Any] = {}
        self._done = 0

    def update(self, new: dict[str, Any]) -> bool:
        """Show what the progress actor says; whether training has moved. Stage and step tell: a loss that is NaN never
        equals itself."""
        if not new or new == self._last:
            return False
        last, self._last = self._last, new
        step = int(new["step"]) + (self._first_stage if new["stage"] == LABELS else 0)
        if not last:
            self.progress.begin(step)
            self._done = step
        more, self._done = max(0, step - self._done), max(self._done, step)
        loss = {"loss": new["loss"]} if new["step"] else {}  # there is none yet
        self.progress.set(more, stage=STAGES[new["stage"]], **loss, held_out=new["score"], best=new["best_score"])
        return (new["stage"], new["step"]) != (last.get("stage"), last.get("step"))
