"""Work items in the blocks that a worker takes at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jobs.commits.work_items import WorkItem

#: What a work item takes beside its bytes (open, publish, record), in bytes that take as long.
ITEM_BYTES = 4 << 20
#: Blocks that each worker still has before it, at least, as long as there are items.
_LAST_BLOCKS = 4


def work(items: Iterable[WorkItem]) -> int:
    """What the items take, in bytes that take as long."""
    return sum(item.input_bytes + ITEM_BYTES for item in items)


def blocks(items: Sequence[WorkItem], parts: int, workers: int) -> list[list[WorkItem]]:
    """Cut the items, in their order, into about `parts` blocks of like work (less than 2·`parts`, and some a worker).

    Blocks get smaller, down to single items: each is at most a fourth of what a worker still has before it, so that
    none sits on a long one at the end (guided self-scheduling, Polychronopoulos and Kuck 1987).
    """
    left = float(work(items))
    largest = left / parts
    cut: list[list[WorkItem]] = []
    last = 0.0
    for item in items:
        more = work([item])
        if not cut or last + more > min(largest, left / (_LAST_BLOCKS * workers)):
            cut.append([])
            left -= last
            last = 0.0
        cut[-1].append(item)
        last += more
    return cut
