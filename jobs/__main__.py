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
    arguments = sys.argv[1:] if arguments is None else arguments
    _open_streams()
    with interruptible(arguments[0] if arguments else "") as interrupts:
        try:
            from jobs.cli import command

            return command(arguments, interrupts)
        except ModuleNotFoundError as missing:
            if (hint := install_hint(missing.name)) is None:
                raise
            print(f"matryoshka: {hint}", file=sys.stderr)
            return 2


def _open_streams() -> None:
    """Replace closed standard streams (`>&-`) by some that lead nowhere, or later files would take their numbers."""
    while (number := os.open(os.devnull, os.O_RDWR)) < _STREAMS:
        os.set_inheritable(number, True)
    os.close(number)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115  # for as long as the process lives
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


if __name__ == "__main__":
    sys.exit(main())
