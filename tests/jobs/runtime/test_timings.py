"""Each phase lasts from the end of the one before it."""

from __future__ import annotations

from jobs.runtime.timings import Timings


def test_seconds_of_each_phase_in_order() -> None:
    now = iter([10.0, 12.5, 12.5, 100.25])
    timings = Timings(clock=lambda: next(now))
    for name in ("start", "sample", "train"):
        timings.done(name)
    assert timings.seconds == {"start": 2.5, "sample": 0.0, "train": 87.75}
    assert str(timings) == "start 2, sample 0, train 88"
