"""How work items spread over workers, as arithmetic: whoever is free takes the next one."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt


def makespan(seconds: npt.NDArray[np.floating] | Sequence[float], workers: int) -> float:
    """Time until all is done when the items are taken longest first (Graham's LPT rule, 1969).

    At most 4/3 − 1/(3·workers) of the best possible, and at most one item's time above an even spread.
    """
    return sorted_by_variance(sorted((float(length) for length in seconds), reverse=True), workers)


def sorted_by_variance(seconds: Iterable[float], workers: int) -> float:
    """Time until all is done when the items are taken in this order."""
    free = [0.0] * workers
    for length in seconds:
        heapq.heapreplace(free, free[0] + length)
    return max(free)
