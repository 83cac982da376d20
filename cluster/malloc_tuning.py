"""What a worker process does with memory that it has freed: it keeps it."""

from __future__ import annotations

import ctypes

#: Numbers of the options in malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


def keep_freed_memory(most_bytes: int) -> None:
    """Have glibc keep what a step or batch frees, in pieces of up to 32 MB, up to `most_bytes` at the end of each heap:
    to get memory again costs a page fault per 4 kB. Without glibc nothing is changed.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, 32 << 20)
        mallopt(_TRIM_THRESHOLD, most_bytes)
