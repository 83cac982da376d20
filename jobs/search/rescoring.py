"""Two columns at once: the nearest by one, put in order by the other.

A database keeps sign codes in memory, takes the hundred nearest by Hamming distance, and scores these again with better
vectors. Both columns have been searched already, so nothing is searched again: of the hundred those that the better
column ranks too come first, in its order. The first ten are exactly those of a database wherever the two lists share
ten rows, and so is the set of a hundred.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from adaptor.baselines import ADAPTOR, Column
from adaptor.neighbours import Neighbours
from jobs.search.columns import Columns
from jobs.search.source_search import ColumnNeighbours


class TwoStages(NamedTuple):
    """Columns that are searched one after the other."""

    first: Column
    second: Column
    inside: bool = False

    @property
    def column(self) -> Column:
        """The two as one column of a comparison; where the database makes codes `inside` it has always been one."""
        if self.inside:
            return self.first
        return Column(ADAPTOR, self.first.dim, f"{self.first.encoding} > {self.second.encoding} x {self.second.dim}")


def two_stages(columns: Columns) -> Iterator[TwoStages]:
    """Every column of sign codes with every one of float16, or float32 where there is none; and what a database takes
    the signs of with itself."""
    halves = [column for column in columns.stored if column.encoding == "float16"]
    better = halves or [Column(ADAPTOR, dim) for dim in columns.dims]
    for first, stored in columns.stored.items():
        if stored.held.compared == "hamming":
            yield from (TwoStages(first, second) for second in better)
        elif stored.held.compared == "own_signs":
            yield TwoStages(first, Column(ADAPTOR, first.dim, stored.held.encoding), inside=True)


def with_rescored(neighbours: ColumnNeighbours, columns: Columns) -> ColumnNeighbours:
    """The neighbours of every column, and of every two."""
    return neighbours | {
        stages.column: rescore(neighbours[stages.first], neighbours[stages.second]) for stages in two_stages(columns)
    }


def rescore(first: Neighbours, second: Neighbours) -> Neighbours:
    """The rows of `first`: those that `second` ranks too in its order, then the others in their own."""
    same = (first.ids[:, :, None] == second.ids[:, None, :]) & (first.ids >= 0)[:, :, None]
    last = second.ids.shape[1]
    rank = np.where(same.any(axis=2), same.argmax(axis=2), last)
    order = np.argsort(rank, axis=1, kind="stable")
    return Neighbours(np.take_along_axis(first.ids, order, 1), np.take_along_axis(first.similarities, order, 1))
