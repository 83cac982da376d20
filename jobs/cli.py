"""The command line: `matryoshka <verb> CONFIG.yaml [--section.field value]`, the same as `python -m jobs <verb> …`.

Results go to standard output, logs and progress to standard error. Exit status: 0 done, 1 the run failed, 2 the
configuration or the data cannot be used, 130 interrupted. Each verb is a module of its own, imported only when it runs,
so that help is instant.
"""

from __future__ import annotations

import errno
import io
import logging
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from adaptor.errors import InputError, RunError
from cluster.errors import ClusterError
from jobs.config.fields import Schema
from jobs.config.help import help_text
from jobs.config.loader import SCHEMAS, load, split_arguments
from jobs.config.messages import near
from jobs.runtime.interrupts import Interrupts
from jobs.runtime.json_logs import JsonFormatter
from jobs.version import VERSION

#: The verbs, each with its schema and the module whose `run(config)` does it and returns the exit status.
COMMANDS: dict[str, tuple[Schema, str]] = {verb: (schema, f"jobs.{verb}.command") for verb, schema in SCHEMAS.items()}

#: What a full disk or a broken device says.
_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBADF)


def command(given: Sequence[str], interrupts: Interrupts) -> int:
    """Run one command and return its exit status; `given` are the arguments after the program's name."""
    verb = given[0] if given else ""
    if isinstance(sys.stdout, io.TextIOWrapper):  # as standard error does: a result must not be lost for a character
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        if verb in COMMANDS:
            return _run(verb, given[1:], interrupts)
        return _about(given)
    except (InputError, RunError, ClusterError) as problem:
        # What a Ray task raised arrives as an exception of both kinds, whose own text is the traceback of the task.
        told = getattr(problem, "cause", problem)
        print(f"{' '.join(['matryoshka', *([verb] if verb in COMMANDS else [])])}: {told}", file=sys.stderr)
        return 2 if isinstance(problem, InputError) else 1
    except (KeyboardInterrupt, SystemExit):
        # Nothing of ours exits from inside: Ray turns both signals into exits, with the status 0, 1 or 15.
        return interrupts.tell()
    except BrokenPipeError:
        # Whoever read our output has gone (`| head`): nothing is wrong here, and nothing more can be written there.
        _drop_output()
        return 1
    except OSError as problem:
        if problem.filename is not None or problem.errno not in _UNWRITABLE or _takes_output():
            raise
        _drop_output()
        print(f"matryoshka: standard output cannot be written to: {problem}", file=sys.stderr)
        return 1


def _run(verb: str, arguments: Sequence[str], interrupts: Interrupts) -> int:
    schema, module = COMMANDS[verb]
    if any(argument in ("-h", "--help") for argument in arguments):
        print(help_text(f"matryoshka {verb}", schema), end="", flush=True)
        return 0
    files, flags = split_arguments(arguments)
    if len(files) > 1:
        raise InputError(f"takes one configuration file, got {', '.join(files)}; a flag's value follows its name")
    config = load(schema, Path(files[0]) if files else None, flags)
    lines = logging.StreamHandler(sys.stderr)
    as_json = getattr(getattr(config, "cluster", None), "log", "text") == "json"
    lines.setFormatter(JsonFormatter(verb) if as_json else logging.Formatter(f"matryoshka {verb}: %(message)s"))
    logging.basicConfig(handlers=[lines], level=logging.WARNING)
    for package in ("adaptor", "cluster", "jobs"):
        logging.getLogger(package).setLevel(logging.INFO)
    run = import_module(module).run
    interrupts.running()
    status: int = run(config)
    sys.stdout.flush()
    return status


def _takes_output() -> bool:
    """Whether standard output, if it is a file, takes another line."""
    try:
        number = sys.stdout.fileno()
    except OSError:
        return True
    try:
        os.write(number, b"\n")
    except OSError:
        return False
    return True


def _drop_output() -> None:
    """What is left in the buffer of standard output goes nowhere: it could not be written where it should go."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _about(given: Sequence[str]) -> int:
    """What is said when no verb is given."""
    if given[:1] == ["--version"]:
        print(f"matryoshka {VERSION}")
    elif given[:1] in (["-h"], ["--help"]):
        print(_usage(), end="")
    elif not given:
        print(_usage(), end="", file=sys.stderr)
        return 2
    else:
        raise InputError(f"there is no command {given[0]!r}{near(given[0], COMMANDS)}; commands: {', '.join(COMMANDS)}")
    return 0


def _usage() -> str:
    width = max(map(len, COMMANDS))
    verbs = "".join(
        f"  {verb:{width}}  {' '.join((schema.__doc__ or '').split())}\n" for verb, (schema, _) in COMMANDS.items()
    )
    return (
        "usage: matryoshka COMMAND [CONFIG.yaml] [--section.field VALUE ...]\n\n"
        "Shorten the vectors of a vector store and prove what search quality is kept.\n\n"
        f"{verbs}\n"
        "matryoshka COMMAND --help lists every field; matryoshka --version tells the version.\n"
    )
