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
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bars
from rich.table import Column
from rich.text import Text

from jobs.runtime.json_logs import log_line
from jobs.runtime.plural import plural
from jobs.runtime.units import duration

Number = int | float

#: Seconds between two log lines where there is no terminal.
LOG_EVERY_SECONDS = 5.0


@dataclass
class Progress:
    """Counts of one command on their way to standard error (or `stream`). Safe to use from several threads.

    `log`: `text` for people, `json` for machines. `total` None means unknown: no bar and no ETA. Fields named in
    `rates` are also shown per second, over all the time; so is the unit, since the work began.
    """

    title: str
    total: int | None = None
    unit: str = "items"
    rates: tuple[str, ...] = ()
    log: Literal["text", "json"] = "text"
    stream: TextIO | None = None
    clock: Callable[[], float] = time.monotonic
    done: int = field(default=0, init=False)
    fields: dict[str, Any] = field(default_factory=dict, init=False)

    def __enter__(self) -> Self:
        """Start the clock and show the first line at once."""
        self._lock = threading.RLock()
        self._started = self._logged = self.clock()
        self._out = self.stream or sys.stderr
        self._ended = False
        self._terminal: Bars | None = None
        self.begin()
        if self.log == "text" and self._out.isatty():
            state = TextColumn("{task.fields[state]}", markup=False, table_column=Column())
            columns = ("[bold]{task.description}", BarColumn(20), state)
            # Results go to standard output: it must not be redirected into the console.
            self._terminal = Bars(*columns, console=Console(file=self._out), redirect_stdout=False)
            self._terminal.add_task(self.title, total=self.total, state=self)
            self._terminal.start()
        else:
            self._log()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Show the last state, whatever happened."""
        self._ended = True
        if self._terminal is not None:
            self._terminal.stop()
        else:
            self._log(ended="finished" if kind is None else "stopped")

    def begin(self, done: int = 0) -> None:
        """The work starts now, with `done` units of an earlier run: what came before does not count in the ETA."""
        with self._lock:
            self.done += done
            self._began, self._done_before = self.clock(), self.done

    def advance(self, count: int = 1, /, **numbers: Number) -> None:
        """`count` more units are done; `numbers` are added to the fields of that name."""
        with self._lock:
            for name, number in numbers.items():
                self.fields[name] = self.fields.get(name, 0) + number
            self._count(count)

    def set(self, count: int = 0, /, **values: Number | str) -> None:
        """Show these fields with these values from now on; they are those after `count` more units."""
        with self._lock:
            self.fields.update(values)
            self._count(count)

    def note(self, text: str) -> None:
        """Print one line that stays."""
        if self._terminal is not None:
            self._terminal.console.print(Text(f"{self.title}: {text}"))
        elif self.log == "json":
            self.event("note", message=text)
        else:
            self._write(f"{self.title}: {text}")

    def event(self, event: str, **fields: object) -> None:
        """One JSON line about something that happened; nothing where people read."""
        if self.log == "json":
            self._write(log_line(self.title, event, fields))

    def __str__(self) -> str:
        """The state in one line of text: counts, times and fields."""
        return " · ".join([*self._counts(), *self._figures()])

    def _counts(self) -> Iterator[str]:
        now = self.clock()
        rate = (self.done - self._done_before) / (now - self._began) if now > self._began else 0.0
        yield plural(self.done, self.unit) if self.total is None else f"{self.done:,}/{plural(self.total, self.unit)}"
        yield f"{duration(now - self._started)} elapsed"
        if self.unit in self.rates:
            yield f"{_three_digits(rate)} {self.unit}/s"
        if self.total is not None and self.done < self.total and not self._ended:
            yield f"ETA {duration((self.total - self.done) / rate) if rate > 0 else '?'}"

    def _figures(self) -> Iterator[str]:
        elapsed = self.clock() - self._started
        # A copy in one step: without the lock, which the thread that draws must not wait for.
        for name, value in self.fields.copy().items():
            label = "GB" if name == "gb" else name.replace("_", " ")
            text = value if isinstance(value, str) else f"{value:,.3f}" if name == "gb" else quantity(value)
            yield f"{label} {text}"
            if name in self.rates and elapsed > 0 and not isinstance(value, str):
                yield f"{label}/s {_three_digits(value / elapsed)}"

    def _count(self, count: int) -> None:
        self.done += count
        if self._terminal is not None:
            self._terminal.update(self._terminal.task_ids[0], total=self.total, completed=self.done)
        elif self.clock() - self._logged >= LOG_EVERY_SECONDS:
            self._log()

    def _log(self, ended: str | None = None) -> None:
        self._logged = self.clock()
        if self.log == "json":
            state = {"done": self.done, "total": self.total, "unit": self.unit}
            elapsed = round(self.clock() - self._started, 3)
            self.event(ended or "progress", **state, elapsed_seconds=elapsed, **self.fields)
        else:
            self._write(f"{self.title}{f' {ended}' if ended else ''}: {self}")

    def _write(self, text: str) -> None:
        with self._lock:
            print(text, file=self._out, flush=True)


def _three_digits(rate: float) -> str:
    return quantity(float(f"{rate:.3g}"))


def quantity(number: Number) -> str:
    """A number for reading: integers with thousands separators, others with four significant digits."""
    if isinstance(number, int) or (math.isfinite(number) and abs(number) >= 1000):
        return f"{number:,.0f}"
    return f"{number:.4g}"
