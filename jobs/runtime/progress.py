"""Live progress on standard error: a line that redraws itself on a terminal, otherwise a log line every few seconds.

with Progress("compress", total=len(items), unit="shards", rates=("vectors",)) as progress:
    progress.advance(vectors=1000, failed=0)  # adds up
    progress.set(loss=0.12)                   # shows the latest
    progress.note("shard 7 is skipped")       # one line that stays
"""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Self, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from jobs.runtime.json_logs import log_line
from jobs.runtime.plural import plural

Number = int | float

#: Seconds between two log lines where there is no terminal.
LOG_EVERY_SECONDS = 5.0
#: Span over which the rate behind the ETA is smoothed, in seconds.
_SMOOTHING_SECONDS = 30.0


class SmoothedRate:
    """Units per second, where the last half minute counts most; the plain average until then."""

    def __init__(self, now: float) -> None:
        self._last, self._units, self._seconds = now, 0.0, 0.0

    def add(self, units: float, now: float) -> None:
        """Count units that were finished at the clock's time `now` (seconds)."""
        passed = max(0.0, now - self._last)
        decay = math.exp(-passed / _SMOOTHING_SECONDS)
        self._units, self._seconds = self._units * decay + units, self._seconds * decay + passed
        self._last = now

    def at(self, now: float) -> float:
        """Units per second; falls while nothing is finished, 0 before the first unit."""
        seconds = self._seconds + max(0.0, now - self._last)
        return self._units / seconds if seconds > 0 else 0.0


@dataclass
class Progress:
    """Counts of one command on their way to standard error (or `stream`). Safe to use from several threads.

    `log`: `text` for people, `json` for machines. `total` None means unknown: no bar and no ETA. Fields named in
    `rates` are also shown per second, over all the time; so is the unit, over the last half minute.
    """

    title: str
    total: int | None = None
    unit: str = "items"
    rates: tuple[str, ...] = ()
    log: Literal["text", "json"] = "text"
    stream: TextIO | None = None
    clock: Callable[[], float] = time.monotonic
    done: int = field(default=0, init=False)
    fields: dict[str, Number | str] = field(default_factory=dict, init=False)

    def __enter__(self) -> Self:
        """Start the clock and show the first line at once."""
        self._lock = threading.RLock()
        self._started = self._logged = self.clock()
        self._rate = SmoothedRate(self._started)
        self._out = self.stream or sys.stderr
        self._ended = False
        self._live: Live | None = None
        if self.log == "text" and self._out.isatty():
            console = Console(file=self._out)
            # Results go to standard output: it must not be redirected into the console.
            self._live = Live(
                console=console, get_renderable=self._picture, refresh_per_second=5, redirect_stdout=False
            )
            self._live.start()
        else:
            self._log()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, _: TracebackType | None
    ) -> None:
        """Show the last state, whatever happened."""
        with self._lock:
            self._ended = True
            if self._live is not None:
                self._live.stop()
            else:
                self._log(ended="finished" if kind is None else "stopped")

    def begin(self, done: int = 0) -> None:
        """The work starts now, with `done` units of an earlier run: what came before does not count in the ETA."""
        with self._lock:
            self.done += done
            self._rate = SmoothedRate(self.clock())

    def advance(self, count: int = 1, /, **numbers: Number) -> None:
        """`count` more units are done; `numbers` are added to the fields of that name."""
        with self._lock:
            self.done += count
            self._rate.add(count, self.clock())
            for name, number in numbers.items():
                so_far = self.fields.get(name, 0)
                self.fields[name] = number if isinstance(so_far, str) else so_far + number
        self._log_if_due()

    def set(self, count: int = 0, /, **values: Number | str) -> None:
        """Show these fields with these values from now on; they are those after `count` more units."""
        with self._lock:
            self.fields.update(values)
            self.done += count
            self._rate.add(count, self.clock())
        self._log_if_due()

    def note(self, text: str) -> None:
        """Print one line that stays."""
        with self._lock:
            if self._live is not None:
                self._live.console.print(Text(f"{self.title}: {text}"))
            elif self.log == "json":
                self.event("note", message=text)
            else:
                self._write(f"{self.title}: {text}")

    def event(self, event: str, **fields: object) -> None:
        """One JSON line about something that happened; nothing where people read."""
        if self.log == "json":
            self._write(log_line(self.title, event, fields))

    def line(self) -> str:
        """The state in one line of text."""
        return " · ".join([self._count(), *self._times(), *self._figures()])

    def _count(self) -> str:
        if self.total is None:
            return plural(self.done, self.unit)
        return f"{self.done:,}/{plural(self.total, self.unit)}"

    def _times(self) -> list[str]:
        now = self.clock()
        times = [f"{duration(now - self._started)} elapsed"]
        if self.unit in self.rates:
            times.append(f"{_three_digits(self._rate.at(now))} {self.unit}/s")
        if self.total is not None and self.done < self.total and not self._ended:
            rate = self._rate.at(now)
            times.append(f"ETA {duration((self.total - self.done) / rate) if rate > 0 else '?'}")
        return times

    def _figures(self) -> list[str]:
        with self._lock:
            fields = dict(self.fields)
        elapsed = self.clock() - self._started
        figures = []
        for name, value in fields.items():
            label = "GB" if name == "gb" else name.replace("_", " ")
            shown = value if isinstance(value, str) else f"{value:,.3f}" if name == "gb" else quantity(value)
            figures.append(f"{label} {shown}")
            if name in self.rates and elapsed > 0 and not isinstance(value, str):
                figures.append(f"{label}/s {_three_digits(value / elapsed)}")
        return figures

    def _picture(self) -> Group:
        head = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=self.total, completed=self.done, width=28, pulse=self.total is None)
        head.add_row(Text(self.title, style="bold"), bar, Text(" · ".join([self._count(), *self._times()])))
        figures = self._figures()
        return Group(head, Text("  " + " · ".join(figures), style="dim")) if figures else Group(head)

    def _log_if_due(self) -> None:
        with self._lock:
            if self._live is None and self.clock() - self._logged >= LOG_EVERY_SECONDS:
                self._log()

    def _log(self, ended: str | None = None) -> None:
        self._logged = self.clock()
        if self.log == "json":
            state = {"done": self.done, "total": self.total, "unit": self.unit}
            elapsed = round(self.clock() - self._started, 3)
            self.event(ended or "progress", **state, elapsed_seconds=elapsed, **self.fields)
        else:
            self._write(f"{self.title}{f' {ended}' if ended else ''}: {self.line()}")

    def _write(self, text: str) -> None:
        with self._lock:
            print(text, file=self._out, flush=True)


def duration(seconds: float) -> str:
    """Seconds as `7s`, `3m05s`, `2h04m` or `3d02h`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86_400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86_400}d{whole % 86_400 // 3600:02}h"


def _three_digits(rate: float) -> str:
    return quantity(float(f"{rate:.3g}"))


def quantity(number: Number) -> str:
    """A number for reading: integers with thousands separators, others with four significant digits."""
    if isinstance(number, int) or (math.isfinite(number) and abs(number) >= 1000):
        return f"{number:,.0f}"
    return f"{number:.4g}"
