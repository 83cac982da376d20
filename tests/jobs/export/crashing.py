"""A target that dies at a chosen step, as a process does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from jobs.export.rows import Rows
from jobs.export.state import State
from jobs.export.target import Target


class Crash(BaseException):
    """Nothing of ours catches it."""


class CrashingTarget:
    """Passes all on to a real target; the step number `at` raises instead of going on. `steps` counts them."""

    def __init__(self, target: Target, at: int, die: Callable[[], Any]) -> None:
        self._target, self._at, self._die, self.steps = target, at, die, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)

    def create(self, state: State) -> None:
        """Before and after."""
        self._step()
        self._target.create(state)
        self._step()

    def write(self, rows: Iterator[Rows], *, new: bool) -> None:
        """Before each batch and after the last."""
        self._target.write(self._steps(rows), new=new)
        self._step()

    def delete(self, rows: Iterator[Rows]) -> None:
        """Before each batch and after the last."""
        self._target.delete(self._steps(rows))
        self._step()

    def save(self, state: State) -> None:
        """Before and after."""
        self._step()
        self._target.save(state)
        self._step()

    def finish(self) -> list[str]:
        """Before and after."""
        self._step()
        lines = self._target.finish()
        self._step()
        return lines

    def _steps(self, rows: Iterator[Rows]) -> Iterator[Rows]:
        for part in rows:
            self._step()
            yield part

    def _step(self) -> None:
        self.steps += 1
        if self.steps == self._at:
            self._die()
