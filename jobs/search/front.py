"""The Pareto front: what is better than everything that takes no more bytes."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)


def pareto_front(points: Mapping[Key, tuple[int, float]]) -> list[Key]:
    """Of things with bytes and a quality those on the front, by bytes; of equals the first."""
    front: list[Key] = []
    best = float("-inf")
    for key, (_, quality) in sorted(points.items(), key=lambda point: (point[1][0], -point[1][1])):
        if quality > best:
            front, best = [*front, key], quality
    return front
