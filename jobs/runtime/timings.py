"""How long each phase of a command took."""

from __future__ import annotations

import time
from collections.abc import Callable


class Timings:
    """Seconds of each phase, in order; a phase begins where the one before it is done."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._since = clock, clock()
        self.seconds: dict[str, float] = {}

    def done(self, phase: str) -> None:
        """The phase ends now."""
        now = self._clock()
        self.seconds[phase] = round(now - self._since, 3)
        self._since = now

    def __str__(self) -> str:
        return ", ".join(f"{phase} {seconds:.0f}" for phase, seconds in self.seconds.items())
