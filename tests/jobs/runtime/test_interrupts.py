"""Ctrl-C and SIGTERM, as real signals at several moments: out within ten seconds, one line, nothing left behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Self

import psutil
import pytest

from jobs.config.loader import SCHEMAS
from tests.jobs.compress.workplace import Workplace, table

LAST_LINE = "matryoshka {verb}: interrupted; run the same command again to finish\n"


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    """A source of three shards with 59 rows in all."""
    place = Workplace(tmp_path)
    for key, rows in (("a.parquet", 25), ("b.parquet", 31), ("c.parquet", 3)):
        place.put(key, table(rows, seed=rows))
    return place


class Program:
    """A verb running as a terminal would run it, in a process group of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.verb, self.said = arguments[0], folder / "stderr"
        with self.said.open("wb") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jobs", *arguments], stdout=said, stderr=said, start_new_session=True
            )

    def __enter__(self) -> Self:
        """Runs already."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it, whatever became of the test."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait()

    def wait_for(self, pattern: str) -> None:
        """Wait until it has said something."""
        deadline = time.monotonic() + 120
        while not re.search(pattern, self.said.read_text()):
            assert self.process.poll() is None, self.said.read_text()
            assert time.monotonic() < deadline, self.said.read_text()
            time.sleep(0.02)

    def interrupt(self, number: signal.Signals) -> str:
        """Ctrl-C reaches the whole group, SIGTERM the process; check how it ends. What it said."""
        family = psutil.Process(self.process.pid).children(recursive=True)
        os.killpg(self.process.pid, number) if number == signal.SIGINT else self.process.send_signal(number)
        started = time.monotonic()
        status = self.process.wait(timeout=30)
        assert time.monotonic() - started < 10
        said = self.said.read_text()
        assert status == 130, said
        assert said.endswith(LAST_LINE.format(verb=self.verb)), said
        assert "Traceback" not in said, said
        _, left = psutil.wait_procs(family, timeout=10)
        assert not left
        return said


# Later than this a verb that finds nothing to read may have ended by itself.
@pytest.mark.parametrize(("number", "delay"), [(signal.SIGINT, 0.0), (signal.SIGTERM, 0.1)])
@pytest.mark.parametrize("verb", SCHEMAS)
def test_while_it_still_imports(verb: str, number: signal.Signals, delay: float, tmp_path: Path, root: Path) -> None:
    with Program(tmp_path, verb, str(root / "configs" / "demo" / f"{verb}.yaml")) as program:
        _wait_for_handlers(program.process.pid)
        time.sleep(delay)
        assert program.interrupt(number).count("interrupted") == 1


def _wait_for_handlers(pid: int) -> None:
    """Wait until SIGTERM is caught: the fifth line of the signal masks in Linux's process status."""
    if not Path("/proc/self/status").exists():
        time.sleep(0.3)
        return
    caught = 0
    while not caught >> (signal.SIGTERM - 1) & 1:
        (line,) = re.findall(r"SigCgt:\s*(\w+)", Path(f"/proc/{pid}/status").read_text())
        caught = int(line, 16)


def test_what_hangs_is_cut_off(tmp_path: Path) -> None:
    """A thread that never ends would keep Python from ending; a handler of Ray's replaces ours."""
    program = textwrap.dedent("""
        import signal, sys, threading, time
        from jobs import cli as command_line
        from jobs.runtime import interrupts
        from jobs.__main__ import main
        interrupts.GRACE_SECONDS = 0.5
        class Hanging:
            def run(self, config):
                threading.Thread(target=time.sleep, args=(60,)).start()
                if sys.argv[1] == "replaced":
                    signal.signal(signal.SIGTERM, lambda *_: None)
                print("running", flush=True)
                time.sleep(60)
        command_line.import_module = lambda name: Hanging()
        sys.exit(main(["fit", "--source.uri", "in", "--output.uri", "out"]))
    """)
    for how in ("ours", "replaced"):
        command = [sys.executable, "-c", program, how]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "running\n"
            process.terminate()
            started = time.monotonic()
            _, said = process.communicate(timeout=30)
        assert time.monotonic() - started < 5
        assert (process.returncode, said) == (130, LAST_LINE.format(verb="fit"))


def test_a_handler_that_waits_is_not_waited_for() -> None:
    """As that of Ray Train, which waits for the end of the training."""
    program = textwrap.dedent("""
        import signal, sys, time
        from jobs import cli as command_line
        from jobs.__main__ import main
        class Training:
            def run(self, config):
                signal.signal(signal.SIGINT, lambda *_: time.sleep(60))
                try:
                    print("running", flush=True)
                    time.sleep(60)
                finally:
                    print("unwound", flush=True)
        command_line.import_module = lambda name: Training()
        sys.exit(main(["fit", "--source.uri", "in", "--output.uri", "out"]))
    """)
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        process.send_signal(signal.SIGINT)
        printed, said = process.communicate(timeout=30)
    assert (process.returncode, printed, said) == (130, "unwound\n", LAST_LINE.format(verb="fit"))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["compress: 0/1,500 ", r"compress: [1-9][\d,]*/1,500 "])
def test_while_it_compresses(workplace: Workplace, tmp_path: Path, number: signal.Signals, moment: str) -> None:
    workplace.put("more/0000.parquet", table(20, seed=1))
    for shard in range(1, 1497):  # work for ten seconds
        os.link(workplace.source / "more/0000.parquet", workplace.source / f"more/{shard:04}.parquet")
    config = tmp_path / "config.json"
    config.write_text(workplace.config(cluster={"workers": 2}).model_dump_json())
    with Program(tmp_path, "compress", str(config)) as program:
        program.wait_for(moment)
        program.interrupt(number)
    again = subprocess.run([sys.executable, "-m", "jobs", "compress", str(config)], capture_output=True, check=False)
    assert again.returncode == 0, again.stderr
    assert sum(record.rows_out for record in workplace.records()) == 59 + 1497 * 20


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["fit: 0/", r"fit: [1-9]"])
def test_while_it_fits(scifact: Path, tmp_path: Path, number: signal.Signals, moment: str) -> None:
    arguments = ("fit", "--source.uri", str(scifact / "corpus"), "--output.uri", str(tmp_path / "out"))
    with Program(tmp_path, *arguments, "--training.steps", "100000", "--cluster.workers", "1") as program:
        program.wait_for(moment)
        program.interrupt(number)
    assert not (tmp_path / "out" / "adaptor.json").exists()
