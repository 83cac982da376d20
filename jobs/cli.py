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
from jobs.config.help import help_text
from jobs.config.loader import SCHEMAS, load, split_arguments
from jobs.config.messages import near
from jobs.runtime.interrupts import Interrupts
from jobs.runtime.json_logs import JsonFormatter
from jobs.version import VERSION

#: What a full disk or a broken device says.
_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBADF)


def command(given: Sequence[str], interrupts: Interrupts) -> int:
    """Run one command and return its exit status; `given` are the arguments after the program's name."""
    verb = given[0] if given and given[0] in SCHEMAS else ""
    if isinstance(sys.stdout, io.TextIOWrapper):  # as standard error does: a result must not be lost for a character
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return _run(verb, given[1:], interrupts) if verb else _about(given)
    except (InputError, RunError, ClusterError) as problem:
        # What a Ray task raised arrives as an exception of both kinds, whose own text is the traceback of the task.
        print(f"{f'matryoshka {verb}'.strip()}: {getattr(problem, 'cause', problem)}", file=sys.stderr)
        return 2 if isinstance(problem, InputError) else 1
    except (KeyboardInterrupt, SystemExit):
        # Nothing of ours exits from inside: Ray turns both signals into exits, with the status 0, 1 or 15.
        return interrupts.report()
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
    if not {"-h", "--help"}.isdisjoint(arguments):
        print(help_text(f"matryoshka {verb}", SCHEMAS[verb]), end="", flush=True)
        return 0
    files, flags = split_arguments(arguments)
    if len(files) > 1:
        raise InputError(f"takes one configuration file, got {', '.join(files)}; a flag's value follows its name")
    config = load(SCHEMAS[verb], Path(files[0]) if files else None, flags)
    lines = logging.StreamHandler(sys.stderr)
    as_json = getattr(getattr(config, "cluster", None), "log", "text") == "json"
    lines.setFormatter(JsonFormatter(verb) if as_json else logging.Formatter(f"matryoshka {verb}: %(message)s"))
    logging.basicConfig(handlers=[lines], level=logging.WARNING)
    for package in ("adaptor", "cluster", "jobs"):
        logging.getLogger(package).setLevel(logging.INFO)
    run = import_module(f"jobs.{verb}.command").run
    interrupts.running()
    status: int = run(config)
    sys.stdout.flush()
    return status


def _takes_output() -> bool:
    """Whether standard output, if it is a file, takes another line."""
    try:
        os.write(sys.stdout.fileno(), b"\n")
    except OSError as problem:
        return isinstance(problem, io.UnsupportedOperation)
    return True


def _drop_output() -> None:
    """What is left in the buffer of standard output goes nowhere: it could not be written where it should go."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _about(given: Sequence[str]) -> int:
    """What is said when no verb is given."""
    wide = max(map(len, SCHEMAS))
    verbs = "".join(f"  {verb:{wide}}  {' '.join((model.__doc__ or '').split())}\n" for verb, model in SCHEMAS.items())
    usage = (
        "usage: matryoshka COMMAND [CONFIG.yaml] [--section.field VALUE ...]\n\n"
        f"Shorten the vectors of a vector store and prove what search quality is kept.\n\n{verbs}\n"
        "matryoshka COMMAND --help lists every field; matryoshka --version tells the version.\n"
    )
    if not given:
        print(usage, end="", file=sys.stderr)
        return 2
    if given[0] not in ("--version", "-h", "--help"):
        raise InputError(f"there is no command {given[0]!r}{near(given[0], SCHEMAS)}; commands: {', '.join(SCHEMAS)}")
    print(f"matryoshka {VERSION}\n" if given[0] == "--version" else usage, end="")
    return 0
