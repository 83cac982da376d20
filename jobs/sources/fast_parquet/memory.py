"""Memory for batches that is used again once nobody looks at the batch before: fresh memory costs as much as reading.

`free` gives large pieces back to the system and the next ones come as zeroed pages, whatever malloc is told, because
one thread takes what another one frees.
"""

from __future__ import annotations

import sys
import threading

import numpy as np

from jobs.sources.fast_parquet.runs import Octets

#: Pieces in use at a time: one is filled, one waits, one is worked on; one more for whoever is late.
_PIECES = 4
#: References to a piece that nobody uses: the list's and that of the question itself.
_UNUSED = 2


class Recycler:
    """Hands out pieces of memory. A piece is free again when no array, slice or Arrow buffer refers to it."""

    def __init__(self) -> None:
        self._pieces: list[Octets] = []
        self._lock = threading.Lock()

    def take(self, size: int) -> Octets:
        """uint8 (size,) with any content."""
        with self._lock:
            free = [place for place in range(len(self._pieces)) if sys.getrefcount(self._pieces[place]) == _UNUSED]
            for place in free:
                if size <= len(self._pieces[place]):
                    return self._pieces[place][:size]  # which refers to the piece, as everything made of it will
            for place in reversed(free):  # batches have become larger: these are of no use any more
                del self._pieces[place]
            fresh = np.empty(size, np.uint8)
            if len(self._pieces) < _PIECES:
                self._pieces.append(fresh)
            return fresh[:size]

    def clear(self) -> None:
        """Keep nothing any longer; what is in use is given back when nobody refers to it."""
        with self._lock:
            self._pieces.clear()


#: That of this process, as each shard and row group has readers of its own.
BATCHES = Recycler()
