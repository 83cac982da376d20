"""The program, `matryoshka <verb> …` or `python -m jobs <verb> …`: takes over the signals, then imports the rest."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from jobs.runtime.extras import install_hint
from jobs.runtime.interrupts import interruptible

#: Standard input, output and error are the files with the numbers below.
_STREAMS = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; `arguments` are those after the program's name."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    _open_streams()
    with interruptible(given[0] if given else "") as interrupts:
        try:
            from jobs.cli import command

            return command(given, interrupts)
        except ModuleNotFoundError as missing:
            if (hint := install_hint(missing.name)) is None:
                raise
            print(f"matryoshka: {hint}", file=sys.stderr)
            return 2


def _open_streams() -> None:
    """Give a process that was started with closed standard streams (`>&-`) some that lead nowhere: files that are
    opened later would take their numbers."""
    while (number := os.open(os.devnull, os.O_RDWR)) < _STREAMS:
        os.set_inheritable(number, True)
    os.close(number)
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115  # for as long as the process lives
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115


if __name__ == "__main__":
    sys.exit(main())
