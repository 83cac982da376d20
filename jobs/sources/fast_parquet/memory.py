"""Memory for batches, reused once nothing refers to an earlier batch: fresh memory costs as much as reading.

`free` returns large pieces to the system, and the next ones come as zeroed pages, whatever malloc's settings: one
thread takes what another one frees.
"""

from __future__ import annotations

import sys
import threading

import numpy as np

from jobs.sources.fast_parquet.runs import Octets

#: Pieces in use at a time: one is filled, one waits, one is worked on, and one to spare.
_PIECES = 4
#: References to a piece that nothing uses: the list's and that of `getrefcount` itself.
_UNUSED = 2


class Recycler:
    """Hands out pieces of memory. A piece is free again when no array, slice or Arrow buffer refers to it."""

    def __init__(self) -> None:
        self._pieces: list[Octets] = []
        self._lock = threading.Lock()

    def take(self, size: int) -> Octets:
        """uint8 (size,) with any content."""
        with self._lock:
            unused = [index for index in range(len(self._pieces)) if sys.getrefcount(self._pieces[index]) == _UNUSED]
            for index in unused:
                if size <= len(self._pieces[index]):
                    return self._pieces[index][:size]  # refers to the piece, as everything made of it will
            for index in reversed(unused):  # batches have become larger
                del self._pieces[index]
            fresh = np.empty(size, np.uint8)
            if len(self._pieces) < _PIECES:
                self._pieces.append(fresh)
            return fresh[:size]

    def clear(self) -> None:
        """Keep nothing; what is in use is freed when nothing refers to it."""
        with self._lock:
            self._pieces.clear()


#: That of this process.
BATCHES = Recycler()
