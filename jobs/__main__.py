"""The program, `matryoshka <verb> …` or `python -m jobs <verb> …`: takes over the signals, then imports the rest."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from jobs.interrupts import interruptible


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; `arguments` are those after the program's name."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    with interruptible(given[0] if given else "") as interrupts:
        from jobs.command_line import command

        return command(given, interrupts)


if __name__ == "__main__":
    sys.exit(main())
