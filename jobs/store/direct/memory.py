"""Memory for batches that is used again once nobody looks at the batch before: fresh memory costs as much as reading.

`free` gives large pieces back to the system and the next ones come as zeroed pages, whatever malloc is told, because
one thread takes what another one frees.
"""

from __future__ import annotations

import sys
import threading

import numpy as np

from jobs.store.direct.runs import Octets

#: Pieces in use at a time: one is filled, one waits, one is worked on; one more for whoever is late.
_PIECES = 4
#: A piece so many times too large is given back: batches have become smaller because memory is scarce.
_TOO_LARGE = 16
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
                if size <= len(self._pieces[place]) <= size * _TOO_LARGE:
                    return self._pieces[place][:size]  # which refers to the piece, as everything made of it will
            fresh = np.empty(size, np.uint8)
            if free:
                self._pieces[free[0]] = fresh
            elif len(self._pieces) < _PIECES:
                self._pieces.append(fresh)
            return fresh[:size]
