"""Work items in the groups that a worker takes at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jobs.commits.work_items import WorkItem

#: What a work item takes beside its bytes (open, publish, record), in bytes that take as long.
ITEM_BYTES = 4 << 20
#: Groups of work items that a worker has before it at least, as long as there are items.
_LAST_GROUPS = 4


def work(items: Iterable[WorkItem]) -> int:
    """What the items take, in bytes that take as long."""
    return sum(item.input_bytes + ITEM_BYTES for item in items)


def blocks(items: Sequence[WorkItem], parts: int, workers: int) -> list[list[WorkItem]]:
    """Group the items, in their order, into what a worker takes at a time: about `parts` groups of like work.

    Towards the end they get smaller, down to single items: a group is at most a fourth of what each worker still has
    before it, so that none sits on a long one when the others are done (guided self-scheduling, Polychronopoulos and
    Kuck 1987). Less than 2·`parts` groups, and some for each worker.
    """
    left = float(work(items))
    largest = left / parts
    groups: list[list[WorkItem]] = []
    held = 0.0
    for item in items:
        more = work([item])
        if not groups or held + more > min(largest, left / (_LAST_GROUPS * workers)):
            groups.append([])
            left -= held
            held = 0.0
        groups[-1].append(item)
        held += more
    return groups
