"""The watch over the head of a cluster that was started here (its GCS, the process that knows all others).

Nobody starts such a head again. Ray ends a driver a minute after the head's death, by `_exit(1)`, without a word. The
watch ends it at once and says why. A driver that has joined a cluster is left to Ray, since the head of a large cluster
may come back; its guardian then has the last word.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from cluster.guardian import leave

#: Seconds between two looks.
_EVERY = 1.0
#: How long a command that notices by itself may take to end in its own way, in seconds.
_GRACE = 5.0


@contextmanager
def local_head_watched() -> Iterator[None]:
    """While the block runs, look whether the head of the open session is alive; where it is not, end the process."""
    from ray._private import worker

    node: Any = worker._global_node
    head = node.all_processes["gcs_server"][0].process
    ended = threading.Event()
    threading.Thread(target=_watch, args=(head, ended), name="head-watch", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def _watch(head: Any, ended: threading.Event) -> None:
    while not ended.wait(_EVERY):
        if head.poll() is not None and not ended.wait(_GRACE):
            give_up("the Ray cluster is lost: its head has died: run the same command again to go on")


def give_up(why: str) -> NoReturn:
    """End the process from any thread, whatever the others hang in. As safe as a kill: the command can be run again."""
    os.write(2, f"matryoshka: {why}\n".encode())
    leave(1)
