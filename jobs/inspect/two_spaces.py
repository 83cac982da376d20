"""Whether the vectors are of one model: those of another one vary along directions of their own.

Rows are grouped by direction (spherical k-means). Groups of one model, however different their topics are, vary along
directions that all others vary along, too. A group of another model (or of a rotated copy) varies along directions that
are as good as drawn by chance. On five corpora of four models the least such group of one model stood at 0.82 of the
median; a rotated part of 5% or 20% of the rows stood at 0.49 or below.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from adaptor.rows import Floats, unit_rows

#: More dimensions are projected at random to so many, which costs less and keeps what matters.
_MOST_DIMS = 512
_GROUPS, _ROUNDS = 8, 20
#: Rows that a group needs to be judged.
_GROUP_ROWS = 64
#: Part of the dimensions that stand for where the other rows vary.
_LEADING = 0.25
#: A group below this part of the median of all groups is of another space.
_APART = 0.65
#: Two halves whose leading directions have so little of what halves of a half have in common.
_UNRELATED, _COMPARED = 0.15, 8

#: Products of the subspace iteration, and columns beyond those wanted.
_ITERATIONS, _SPARE = 8, 8

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Spaces:
    """Whether a second space is suspected, and in which share of the rows it was seen."""

    suspected: bool
    share: float


def two_spaces(vectors: Floats) -> Spaces:
    """Look for a second space in (n, d) vectors; one that holds less than about 64 rows of them is not seen."""
    rows = _narrow(unit_rows(vectors))
    if len(rows) < 4 * _GROUP_ROWS or rows.shape[1] < 4 * _COMPARED:
        return Spaces(False, 0.0)
    halves = _grouped(rows, 2)
    if _unrelated(rows, halves):
        return Spaces(True, float(min(np.mean(halves == 0), np.mean(halves == 1))))
    groups = _grouped(rows, _GROUPS)
    common = {group: _held_by_others(rows, groups == group) for group in _judged(groups)}
    if len(common) < 3:
        return Spaces(False, 0.0)
    limit = _APART * float(np.median([*common.values()]))
    apart = [group for group, part in common.items() if part < limit]
    return Spaces(bool(apart), float(np.isin(groups, apart).mean()))


def _narrow(rows: Floats) -> Floats:
    dim = rows.shape[1]
    if dim <= _MOST_DIMS:
        return rows
    matrix = np.random.default_rng(0).standard_normal((dim, _MOST_DIMS), dtype=np.float32)
    return unit_rows(rows @ matrix)


def _grouped(rows: Floats, count: int) -> Labels:
    """Spherical k-means, begun from rows that are far from each other: int64 (n,)."""
    centres = [rows[np.argmin(rows @ rows.mean(axis=0))]]
    nearest = rows @ centres[0]
    while len(centres) < count:
        centres.append(rows[np.argmin(nearest)])
        nearest = np.maximum(nearest, rows @ centres[-1])
    middle = np.stack(centres)
    labels: Labels = np.full(len(rows), -1, np.int64)
    for _ in range(_ROUNDS):
        before, labels = labels, np.argmax(rows @ middle.T, axis=1)
        if (before == labels).all():
            break
        sums = [rows[labels == group].sum(axis=0) for group in range(count)]
        middle = np.where(np.bincount(labels, minlength=count)[:, None] > 0, unit_rows(np.stack(sums)), middle)
    return labels


def _judged(groups: Labels) -> list[int]:
    counts = np.bincount(groups)
    return [int(group) for group in np.flatnonzero((counts >= _GROUP_ROWS) & (len(groups) - counts >= _GROUP_ROWS))]


def _held_by_others(rows: Floats, own: npt.NDArray[np.bool_]) -> float:
    """How much of a group's variance lies where the other rows vary most, from 0 (as by chance) to 1."""
    centred = rows[own] - rows[own].mean(axis=0)
    directions = _leading(rows[~own], round(_LEADING * rows.shape[1]))
    held = np.square(centred @ directions).sum() / np.square(centred).sum()
    return float((held - _LEADING) / (1 - _LEADING))


def _unrelated(rows: Floats, halves: Labels) -> bool:
    """Whether two groups have next to nothing in common: then neither is small beside the other."""
    if len(_judged(halves)) < 2:
        return False
    one, other = rows[halves == 0], rows[halves == 1]
    within = min(_overlap(group[::2], group[1::2]) for group in (one, other))
    chance = _COMPARED / rows.shape[1]
    return bool(_overlap(one, other) < chance + _UNRELATED * max(0.0, within - chance))


def _overlap(one: Floats, other: Floats) -> float:
    """How much of each other's leading directions two groups hold, 0 to 1."""
    product: npt.NDArray[Any] = _leading(one, _COMPARED).T @ _leading(other, _COMPARED)
    return float(np.square(product).sum() / _COMPARED)


def _leading(rows: Floats, count: int) -> Floats:
    """The leading centred directions as columns, (d, count), by subspace iteration: a few products, not all of them."""
    centred = rows - rows.mean(axis=0)
    covariance = centred.T @ centred
    width = min(count + _SPARE, len(covariance))
    basis = np.random.default_rng(0).standard_normal((len(covariance), width), dtype=np.float32)
    for _ in range(_ITERATIONS):
        basis = np.linalg.qr(covariance @ basis)[0]
    turned: npt.NDArray[Any] = np.linalg.eigh(basis.T @ covariance @ basis)[1][:, -count:]
    directions: Floats = basis @ turned
    return directions
