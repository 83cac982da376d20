"""The command as a person or a cluster starts it: what it prints where, its exit status, what it leaves unimported."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from ray.exceptions import RayTaskError

from adaptor import InputError, RunError
from cluster.errors import ClusterError
from jobs import cli
from jobs.__main__ import main
from jobs.config.fields import fields_of, flag_of, section_schema
from jobs.config.loader import SCHEMAS
from jobs.version import VERSION

FIT = ["fit", "--source.uri", "in", "--output.uri", "out"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "jobs", *arguments], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("verb", SCHEMAS)
def test_help_of_a_verb_lists_every_field(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    for name, field in fields_of(SCHEMAS[verb]):
        section = section_schema(field)
        assert field.description or (section and section.__doc__), f"{name} has no docstring"
        once = f"SECTION.{name.partition('.')[2]}"
        heading = any(f" {title}:" in said or f" {title} (optional section):" in said for title in (name, once))
        assert heading if section else f"--{flag_of(name, field)}" in said or f"--{once} " in said
    assert "(required)" in said


def test_help_lists_once_what_stands_in_several_sections_and_tells_all_that_a_field_takes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["fit", "--help"]) == 0
    said = capsys.readouterr().out
    assert said.count("filesystem.endpoint") == 1
    assert "SECTION is one of source, output." in " ".join(said.split())
    assert "--SECTION.filesystem.credentials environment|anonymous|role\n" in said
    for takes in (
        "--mining.nprobe INTEGER|null",
        "--adaptor.dims INTEGER,…|null",
        "--queries.split TEXT|null",
        "--mining.bad_rows stop|skip",
        "--training.learning_rate NUMBER",
        "--source.fast_parquet true|false",
    ):
        assert f"  {takes}\n" in said
    assert said.count("\n") < 300


def test_results_are_escaped_where_standard_output_lacks_a_character(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    done = run("fit", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\u2026" in done.stdout


def test_help_and_a_configuration_error_need_neither_torch_nor_ray_and_less_than_a_second() -> None:
    program = textwrap.dedent("""
        import sys
        from jobs.__main__ import main
        assert main(["fit", "--help"]) == 0 and main(["fit"]) == 2
        heavy = {"torch", "ray", "pyarrow", "faiss", "pandas", "matplotlib"} & set(sys.modules)
        sys.exit(f"imported: {heavy}" if heavy else 0)
    """)
    # The fastest of three, and CPU time, which is all that it takes: the machine runs other tests, too.
    spent = []
    for _ in range(3):
        before = os.times()
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
        after = os.times()
        spent.append(after.children_user + after.children_system - before.children_user - before.children_system)
        assert done.returncode == 0, done.stderr
    assert min(spent) < 1


def test_version_and_usage() -> None:
    assert run("--version").stdout == f"matryoshka {VERSION}\n"
    helped = run("--help")
    assert (helped.returncode, helped.stderr) == (0, "")
    assert all(f"  {verb} " in helped.stdout for verb in SCHEMAS)
    alone = run()
    assert (alone.returncode, alone.stdout, alone.stderr) == (2, "", helped.stdout)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fti"], "matryoshka: there is no command 'fti' (did you mean fit?); commands: run, fit, advise"),
        (["--verbose"], "matryoshka: there is no command '--verbose'; commands: run"),
        (["fit", "none.yaml"], "matryoshka fit: none.yaml cannot be read: No such file or directory"),
        (["fit", "a.yaml", "b.yaml"], "matryoshka fit: takes one configuration file, got a.yaml, b.yaml"),
        (["verify", "--source.uri"], "matryoshka verify: command line is invalid, 5 problems:\n  --source.uri:"),
    ],
)
def test_what_cannot_be_used_is_said_without_a_traceback(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(said)


class Verb:
    """Stands for a verb's module: `run` does what the test wants."""

    def __init__(self, outcome: int | BaseException) -> None:
        self.outcome = outcome

    def run(self, config: object) -> int:
        """Return the status or raise the exception."""
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


@pytest.mark.parametrize(
    ("outcome", "status", "said"),
    [
        (0, 0, ""),
        (1, 1, ""),
        (InputError("no source at x"), 2, "matryoshka fit: no source at x\n"),
        (RunError("3 shards failed"), 1, "matryoshka fit: 3 shards failed\n"),
        (ClusterError("2 CPUs are needed"), 1, "matryoshka fit: 2 CPUs are needed\n"),
        (KeyboardInterrupt(), 130, "matryoshka fit: interrupted; run the same command again to finish\n"),
        (SystemExit(0), 130, "matryoshka fit: interrupted; run the same command again to finish\n"),
        (SystemExit(15), 130, "matryoshka fit: interrupted; run the same command again to finish\n"),
    ],
)
def test_exit_status(
    outcome: int | BaseException,
    status: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(cli, "import_module", lambda name: Verb(outcome))
    assert main(FIT) == status
    assert capfd.readouterr().err == said


def test_what_a_ray_task_raised_is_said_without_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raised: Any = RayTaskError
    problem = raised("read", "Traceback of the task", InputError("a.parquet is empty")).as_instanceof_cause()
    monkeypatch.setattr(cli, "import_module", lambda name: Verb(problem))
    assert main(FIT) == 2
    assert capsys.readouterr().err == "matryoshka fit: a.parquet is empty\n"


def test_a_defect_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "import_module", lambda name: Verb(KeyError("ours")))
    with pytest.raises(KeyError, match="ours"):
        main(FIT)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_interrupts_with_one_line(number: signal.Signals) -> None:
    program = textwrap.dedent("""
        import sys
        import time
        from jobs import cli
        from jobs.__main__ import main
        class Slow:
            def run(self, config):
                print("running", flush=True)
                time.sleep(60)
        cli.import_module = lambda name: Slow()
        sys.exit(main(sys.argv[1:]))
    """)
    command = [sys.executable, "-c", program, *FIT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        os.kill(process.pid, number)
        _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (130, "matryoshka fit: interrupted; run the same command again to finish\n")


def test_a_reader_that_leaves_early_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "jobs", "fit", "--help"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


def test_closed_standard_streams_are_no_error(tmp_path: Path) -> None:
    shell = f"exec 2>&- >&- <&-; {sys.executable} -m jobs --version; echo $? > {tmp_path}/status"
    subprocess.run(["sh", "-c", shell], timeout=60, check=True)
    assert (tmp_path / "status").read_text() == "0\n"


def test_a_result_that_cannot_be_written_is_told() -> None:
    plan = ["plan", "--describe.rows", "1000", "--describe.dim", "64", "--describe.output_dim", "16"]
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "jobs", *plan]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr == "matryoshka: standard output cannot be written to: [Errno 28] No space left on device\n"


def test_every_verb_has_a_module_with_a_documented_run(root: Path) -> None:
    for verb in SCHEMAS:
        source = (root / "jobs" / verb.replace("-", "_") / "command.py").read_text()
        assert "\ndef run(config: " in source, verb
