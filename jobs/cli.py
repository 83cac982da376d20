"""The command line: `matryoshka <verb> CONFIG.yaml [--section.field value]`, the same as `python -m jobs <verb> …`.

Results go to standard output, logs and progress to standard error. Exit status: 0 done, 1 the run failed, 2 the
configuration or the data cannot be used, 130 interrupted. Only the verb that runs is imported: help is instant.
"""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from adaptor.errors import InputError, RunError
from cluster.errors import ClusterError
from jobs.config.fields import positional_field
from jobs.config.help import help_text
from jobs.config.loader import SCHEMAS, load, split_arguments
from jobs.config.messages import suggestion
from jobs.runtime.interrupts import Interrupts
from jobs.runtime.json_logs import JsonFormatter
from jobs.version import VERSION


def command(arguments: Sequence[str], interrupts: Interrupts) -> int:
    """Run one command and return its exit status; `arguments` are those after the program's name."""
    verb = arguments[0] if arguments and arguments[0] in SCHEMAS else ""
    if isinstance(sys.stdout, io.TextIOWrapper):  # as standard error does: a result must not be lost for a character
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        status = _run(verb, arguments[1:], interrupts) if verb else _about(arguments)
        sys.stdout.flush()
        return status
    except (InputError, RunError, ClusterError) as problem:
        # What a Ray task raised arrives as an exception of both kinds, whose own text is the traceback of the task.
        print(f"{f'matryoshka {verb}'.strip()}: {getattr(problem, 'cause', problem)}", file=sys.stderr)
        return 2 if isinstance(problem, InputError) else 1
    except (KeyboardInterrupt, SystemExit):
        # Nothing of ours exits from inside: Ray turns both signals into exits, with the status 0, 1 or 15.
        return interrupts.report()
    except OSError:
        loss = _lost_output()
        if loss is None:
            raise
        if not isinstance(loss, BrokenPipeError):  # the reader has gone (`| head`): nothing is wrong here
            print(f"matryoshka: standard output cannot be written to: {loss}", file=sys.stderr)
        return 1


def _run(verb: str, arguments: Sequence[str], interrupts: Interrupts) -> int:
    if not {"-h", "--help"}.isdisjoint(arguments):
        print(help_text(f"matryoshka {verb}", SCHEMAS[verb]), end="")
        return 0
    files, flags = split_arguments(arguments)
    first = positional_field(SCHEMAS[verb])
    if first and files and not {".", "/"} & {*files[0]}:  # a word and no file: `matryoshka query-side onnx`
        flags.insert(0, (first, files.pop(0)))
    if len(files) > 1:
        raise InputError(f"takes one configuration file, got {', '.join(files)}; a flag's value follows its name")
    config = load(SCHEMAS[verb], Path(files[0]) if files else None, flags)
    lines = logging.StreamHandler(sys.stderr)
    as_json = getattr(getattr(config, "cluster", None), "log", "text") == "json"
    lines.setFormatter(JsonFormatter(verb) if as_json else logging.Formatter(f"matryoshka {verb}: %(message)s"))
    logging.basicConfig(handlers=[lines], level=logging.WARNING)
    for package in ("adaptor", "cluster", "jobs"):
        logging.getLogger(package).setLevel(logging.INFO)
    run = import_module(f"jobs.{verb.replace('-', '_')}.command").run
    interrupts.running()
    status: int = run(config)
    return status


def _lost_output() -> OSError | None:
    """What keeps the rest of the results from standard output, if anything does; they are then thrown away."""
    try:
        os.write(sys.stdout.fileno(), b"\n")
    except io.UnsupportedOperation:  # no file
        return None
    except OSError as problem:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return problem
    return None


def _about(arguments: Sequence[str]) -> int:
    """What is said when no verb is given."""
    width = max(map(len, SCHEMAS))
    verbs = "".join(f"  {verb:{width}}  {' '.join((model.__doc__ or '').split())}\n" for verb, model in SCHEMAS.items())
    usage = (
        "usage: matryoshka COMMAND [CONFIG.yaml] [--section.field VALUE ...]\n\n"
        f"Shorten the vectors of a source and prove what search quality is kept.\n\n{verbs}\n"
        "matryoshka COMMAND --help lists every field; matryoshka --version tells the version.\n"
    )
    if not arguments:
        print(usage, end="", file=sys.stderr)
        return 2
    word = arguments[0]
    if word not in ("--version", "-h", "--help"):
        raise InputError(f"there is no command {word!r}{suggestion(word, SCHEMAS)}; commands: {', '.join(SCHEMAS)}")
    print(f"matryoshka {VERSION}\n" if word == "--version" else usage, end="")
    return 0
