"""Progress on a terminal and in a log, with a clock that the test moves."""

from __future__ import annotations

import io
import threading

import pytest

from jobs.runtime.progress import Progress, quantity
from jobs.runtime.units import duration, size


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """The time in seconds."""
        return self.now


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Whether it is one."""
        return True


def test_a_log_has_a_first_line_one_every_five_seconds_and_a_last_one() -> None:
    clock, stream = Clock(), io.StringIO()
    with Progress("compress", total=40, unit="shards", rates=("vectors",), stream=stream, clock=clock) as progress:
        for _ in range(20):
            clock.now += 1
            progress.advance(vectors=1500, gb=0.25, failed=0)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "compress: 0/40 shards · 0s elapsed · ETA ?"
    assert lines[1] == (
        "compress: 5/40 shards · 5s elapsed · ETA 35s · vectors 7,500 · vectors/s 1,500 · GB 1.250 · failed 0"
    )
    assert [line.split("/")[0] for line in lines] == [
        "compress: 0",
        "compress: 5",
        "compress: 10",
        "compress: 15",
        "compress: 20",
        "compress finished: 20",
    ]


def test_set_shows_the_latest_and_note_stays() -> None:
    clock, stream = Clock(), io.StringIO()
    with Progress("fit", total=100, unit="steps", stream=stream, clock=clock) as progress:
        progress.set(loss=0.5, held_out=0.61)
        progress.note("checkpoint [3] kept")
        progress.set(loss=0.123456)
    assert stream.getvalue().splitlines()[1:] == [
        "fit: checkpoint [3] kept",
        "fit finished: 0/100 steps · 0s elapsed · loss 0.1235 · held out 0.61",
    ]


def test_a_failure_is_not_called_finished() -> None:
    stream = io.StringIO()
    with pytest.raises(ZeroDivisionError), Progress("fit", total=2, stream=stream):
        raise ZeroDivisionError
    assert stream.getvalue().splitlines()[-1].startswith("fit stopped: 0/2 items")


def test_the_unit_has_a_rate_when_asked_for_and_fields_may_be_text() -> None:
    clock, stream = Clock(), io.StringIO()
    with Progress("fit", total=100, unit="steps", rates=("steps",), stream=stream, clock=clock) as progress:
        progress.set(stage="supervised")
        clock.now += 4
        progress.advance(50)
    assert stream.getvalue().splitlines()[-1] == (
        "fit finished: 50/100 steps · 4s elapsed · 12.5 steps/s · stage supervised"
    )


def test_the_time_before_the_work_does_not_count_in_the_eta() -> None:
    clock, stream = Clock(), io.StringIO()
    with Progress("fit", total=20, stream=stream, clock=clock) as progress:
        clock.now += 1000
        progress.begin()
        clock.now += 10
        progress.advance(10)
        assert "16m50s elapsed · ETA 10s" in str(progress)


def test_without_a_total_there_is_no_eta() -> None:
    stream = io.StringIO()
    with Progress("list", unit="objects", stream=stream, clock=Clock()) as progress:
        progress.advance(1234)
    assert stream.getvalue().splitlines()[-1] == "list finished: 1,234 objects · 0s elapsed"


def test_on_a_terminal_the_line_redraws_itself_and_the_last_state_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    stream = Terminal()
    with Progress("compress", total=3, unit="shards", rates=("vectors",), stream=stream) as progress:
        progress.note("shard [1] is empty")
        progress.advance(3, vectors=2000)
    shown = stream.getvalue()
    assert "\x1b[" in shown
    assert "compress: shard [1] is empty" in shown
    assert "3/3 shards" in shown.rsplit("compress", 1)[-1]
    assert "vectors 2,000 · vectors/s" in shown


def test_many_threads_count_right() -> None:
    with Progress("compress", total=4000, stream=io.StringIO()) as progress:

        def count() -> None:
            for _ in range(500):
                progress.advance(vectors=2)

        threads = [threading.Thread(target=count) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert (progress.done, progress.fields) == (4000, {"vectors": 8000})


def test_a_burst_of_parallel_ends_does_not_fool_the_eta_which_grows_while_nothing_ends() -> None:
    clock = Clock()
    with Progress("compress", total=400, stream=io.StringIO(), clock=clock) as progress:
        for _ in range(20):
            clock.now += 80
            for _ in range(8):
                progress.advance()
        assert str(progress).endswith("ETA 40m00s")
        clock.now += 400
        assert str(progress).endswith("ETA 50m00s")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0s"), (59.4, "59s"), (59.6, "1m00s"), (125, "2m05s"), (3600, "1h00m"), (7500, "2h05m"), (90_000, "1d01h")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(512, "512 bytes"), (2048, "2.05 kB"), (1.5e9, "1.5 GB"), (6.144e12, "6.14 TB"), (2e15, "2 PB")]
)
def test_sizes(count: float, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (1234567, "1,234,567"),
        (0.00012345, "0.0001234"),
        (12.3456, "12.35"),
        (98765.4, "98,765"),
        (float("nan"), "nan"),
    ],
)
def test_quantities(number: float, text: str) -> None:
    assert quantity(number) == text
