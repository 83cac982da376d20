"""Runs of rows that can be read alone, for formats whose files have none of their own."""

from __future__ import annotations

#: Rows of a run: enough to read at once, few enough to split a large file.
GROUP_ROWS = 65_536


def cut(rows: int) -> tuple[int, ...]:
    """The rows of each run of a file with so many."""
    whole, rest = divmod(rows, GROUP_ROWS)
    return (GROUP_ROWS,) * whole + ((rest,) if rest else ())


def rows_of(group: int, rows: int) -> tuple[int, int]:
    """The first row of a run and how many it has, of a file with so many rows."""
    first = group * GROUP_ROWS
    return first, min(GROUP_ROWS, rows - first)
