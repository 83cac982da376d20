"""Where a map serves, and where plain prefixes do: held-out rows have the last word, dim by dim.

Plain prefixes are those of the PCA axes or of the vectors as they came. At no dim may the map do worse than the better
of both, beyond noise: before the first dim where it does, it ends. Wider outputs are plain prefixes of the initial
basis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from adaptor.model import AdaptorModule, Linear
from adaptor.quality import Scores
from adaptor.rows import Floats
from adaptor.settings import Metric
from adaptor.training_job import TrainingJob
from adaptor.training_set import TrainingSet
from adaptor.validation import validate_dims

#: A map that gains less than one standard error over all dims was luck.
_CERTAIN = 1.0
#: What a dim may lose of each measure, beyond noise. The map gives up some of the tenth neighbour for the first, and
#: more of the hundredth.
_ALLOWED = {"graded overlap@10": 0.01, "overlap@10": 0.02, "overlap@100": 0.1}


@dataclass(frozen=True)
class Selection:
    """The module to use, and what held-out rows and queries decided, in words for the user."""

    module: AdaptorModule
    notes: tuple[str, ...] = ()
    head: Tensor | None = None
    """Beside an untrained module: the matrix (b, c) from the initial basis to outputs of at most c columns."""
    exact: bool = False
    """Whether full-dimension scores are those of the original vectors."""


@dataclass(frozen=True)
class Floors:
    """Held-out measures (m, w, h) of the initial basis, and at each dim of the better of it and the other start."""

    initial: Scores
    better: Scores


@dataclass(frozen=True)
class Kept:
    """How many of the judged dims a map serves, what it gains on the initial basis over all of them, for each held-out
    row (h,), and where it lost, in words."""

    count: int
    gain: Scores
    lost: str


def floors(data: TrainingSet, dims: tuple[int, ...], metric: Metric) -> Floors:
    """What plain prefixes reach on held-out rows."""
    initial = validate_dims(Linear(dims[-1]), data, dims, metric)
    if data.other_start is None:
        return Floors(initial, initial)
    other = validate_dims(Linear(len(data.other_start), torch.tensor(data.other_start)), data, dims, metric)
    better = other[0].mean(axis=1) > initial[0].mean(axis=1)
    return Floors(initial, np.where(better[None, :, None], other, initial))


def kept(dims: Sequence[int], scores: Scores, floor: Floors) -> Kept:
    """The dims before the first at which `scores` (m, w, h) are below the floor."""
    count, lost = _first_loss(dims, scores - floor.better[:, : len(dims)])
    gain = (scores[0, :count] - floor.initial[0, :count]).sum(axis=0) / max(1, len(dims))
    return Kept(count, gain, lost)


def better_start(bases: Sequence[Floats], data: TrainingSet, dims: tuple[int, ...], metric: Metric) -> int:
    """Number of the basis (d, d) whose prefixes rank the neighbours of held-out rows best, mean over dims."""
    scores = [validate_dims(Linear(len(b), torch.tensor(b)), data, dims, metric)[0].mean() for b in bases]
    return int(np.argmax(scores))


def select(matrix: Tensor, job: TrainingJob, queries: bool = False) -> Selection:
    """As much of a map, the `matrix` (b, b) on the initial basis, as what is held out does not speak against: rows or,
    where the map has learned from a log, `queries`. Without it, as much of the other start as is better than the
    initial basis."""
    data = job.data.of_queries() if queries else job.data
    dims = tuple(dim for dim in job.dims if dim < job.input_dim)
    floor, notes = floors(data, dims, job.metric), list[str]()
    other = None if data.other_start is None else torch.tensor(data.other_start)
    for name, columns in (("the map", matrix), ("the other start", other)):
        if columns is None:
            continue
        reached = tuple(dim for dim in dims if dim <= len(columns))
        found = kept(reached, validate_dims(Linear(len(columns), columns), data, reached, job.metric), floor)
        if found.gain.mean() > _CERTAIN * standard_error(found.gain):
            if found.lost:
                notes.append(f"{found.lost} on held-out rows: from there on outputs are prefixes of the initial basis")
            # It serves all outputs before the dim that lost: between the two dims it still gains.
            end = dims[found.count] if found.lost else min(len(columns) + 1, job.input_dim)
            return Selection(Linear(job.input_dim), tuple(notes), columns[:, : end - 1].detach().cpu(), exact=True)
        notes.append(
            f"{name} gains {found.gain.mean():+.4f} graded overlap@10 on {len(found.gain):,} held-out rows"
            f"{', and ' + found.lost if found.lost else ''}: no more than chance (standard error "
            f"{standard_error(found.gain):.4f}), it is left out; a larger mining.sample_rows may help"
        )
    return Selection(Linear(job.input_dim), tuple(notes[:1]), exact=True)


def _first_loss(dims: Sequence[int], gains: Scores) -> tuple[int, str]:
    """Number of the first dim whose mean loss, less two standard errors, is more than allowed, and what it lost."""
    for number, dim in enumerate(dims):
        for (measure, allowed), gain in zip(_ALLOWED.items(), gains[:, number], strict=True):
            if not gain.mean() + 2 * standard_error(gain) >= -allowed:
                return number, f"dim {dim} lost {-gain.mean():.3f} {measure}"
    return len(dims), ""


def standard_error(gains: Scores) -> float:
    """Of the mean of (n,); infinite for a single one."""
    return float(np.std(gains, ddof=1) / np.sqrt(len(gains))) if len(gains) > 1 else np.inf
