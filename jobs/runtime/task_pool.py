"""Many calls of one Ray task, a bounded number of them at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

import ray
from ray.exceptions import NodeDiedError, OutOfMemoryError, RayTaskError, WorkerCrashedError

from adaptor.errors import InputError, RunError

Arguments = TypeVar("Arguments", bound=tuple[Any, ...])


def completed(task: Any, calls: Iterable[Arguments], at_most: int, doing: str) -> Iterator[tuple[Arguments, Any]]:
    """Yield the arguments and the result of each call, as they complete; `at_most` calls are under way at a time.

    Raises the InputError or RunError that a call raised, and RunError when workers keep dying while they are `doing`
    it ("searched the source"). Calls that are then still under way are let go, not cancelled: a forced `ray.cancel` of
    a task that is just completing fails a check in Ray's native side, which ends the driver. They end with the session.
    """
    waiting = iter(calls)
    running: dict[Any, Arguments] = {}
    while True:
        running |= {task.remote(*call): call for call in islice(waiting, at_most - len(running))}
        if not running:
            return
        (reference,), _ = ray.wait(list(running), num_returns=1)
        try:
            result = ray.get(reference)
        except RayTaskError as problem:
            if isinstance(problem.cause, InputError | RunError):
                raise problem.cause from None
            raise
        except (NodeDiedError, OutOfMemoryError, WorkerCrashedError) as problem:
            raise RunError(f"a worker died again and again while it {doing}: {problem}") from problem
        yield running.pop(reference), result
