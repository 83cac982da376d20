"""What happens to trained maps before they are used: they give way where they lost, and columns are put in order.

Held-out rows judge every dim on its own, by the graded overlap@10 (quality.py). The map that low-dimensional outputs
have to themselves is cut off at the first dim that does worse than the start beyond noise; a rotation is drawn back
into the coordinates before it. That dim then scores exactly like the start again, as do all wider ones. Last, the
columns between two trained dims are sorted by variance: trained dims do not notice, those between gain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from adaptor.model import AdaptorModule, Linear, Orthogonal, Residual, trainable_dims
from adaptor.quality import Scores
from adaptor.settings import Metric
from adaptor.tensors import as_tensor
from adaptor.training import Job
from adaptor.training_set import TrainingSet
from adaptor.validation import validate_dims

#: A map that gains less than one standard error over all dims was luck: the start is kept.
_CERTAIN = 1.0


@dataclass(frozen=True)
class Selection:
    """The module to use, and what was held back, in words for the user (empty: nothing)."""

    module: AdaptorModule
    fallback_notes: tuple[str, ...] = ()
    head: Tensor | None = None
    """Beside an untrained module: the matrix (b, c) from started coordinates to outputs of at most c columns."""


def select(module: AdaptorModule, data: TrainingSet, dims: Sequence[int], metric: Metric) -> Selection:
    """The module as it is to be used. An untrained module and the paper's perceptron come back as they are."""
    if isinstance(module, Residual):
        return Selection(module)
    if not isinstance(module, Orthogonal):
        return Selection(sorted_by_variance(module, data, dims))
    notes = list[str]()
    while tried := trainable_dims(module, tuple(dims)):
        gains = _gains(module, (data, tried, metric))
        if chance := _no_more_than_chance(gains[0].mean(axis=0)):
            notes.append(chance)
            return Selection(Orthogonal(module.trained_components), tuple(notes))
        lost = _lost(tried, gains, metric)
        if not lost:
            break
        dim, told = lost
        notes.append(
            f"{told} on held-out rows: the rotation is drawn back into the leading {dim} coordinates, and dim "
            f"{dim} scores like its start"
        )
        module = restricted(module, dim)
    return Selection(sorted_by_variance(module, data, dims), tuple(notes))


def select_head(start: Orthogonal, head: Linear, job: Job) -> Selection:
    """The start, and as much of the low-dimensional head as held-out rows do not speak against: its columns up to the
    last trained dim before the first that does worse than the start; none where all of them together gain nothing."""
    gains = _gains(head, (job.data, job.dims, job.metric))
    lost = _lost(job.dims, gains, job.metric)
    kept, notes = job.dims, list[str]()
    if lost:
        kept = job.dims[: job.dims.index(lost[0])]
        notes.append(
            f"{lost[1]} on held-out rows with the low-dimensional head: outputs of more than {max(kept, default=0)} "
            "columns stay as the start has them"
        )
    if not kept:
        return Selection(start, tuple(notes))
    if chance := _no_more_than_chance(gains[0, : len(kept)].mean(axis=0)):
        return Selection(start, (chance,))
    ordered = _ordered(head.matrix.detach().cpu().double(), job.data, job.dims)
    return Selection(start, tuple(notes), ordered[:, : kept[-1]])


def _no_more_than_chance(gain: Scores) -> str:
    """Words for the user when the change of graded overlap@10 per held-out row (h,) is no sure gain; else nothing."""
    if gain.mean() > _CERTAIN * _error(gain):
        return ""
    return (
        f"training gains {gain.mean():+.4f} graded overlap@10 on {len(gain):,} held-out rows, no more than chance "
        f"(standard error {_error(gain):.4f}): its start is kept; a larger mining.sample_rows may help"
    )


def restricted(module: Orthogonal, trained_components: int) -> Orthogonal:
    """The rotation inside the leading coordinates that is nearest in its columns, first ones first (Gram-Schmidt)."""
    columns, upper = torch.linalg.qr(module.exact()[:trained_components, :trained_components])
    # A QR decomposition leaves the signs open; positive ones keep the columns' directions.
    signs = torch.where(torch.diagonal(upper) < 0, -1.0, 1.0).double()
    return Orthogonal(trained_components, columns * signs)


def sorted_by_variance(module: AdaptorModule, data: TrainingSet, dims: Sequence[int]) -> AdaptorModule:
    """The same map at every trained dim, with the columns between two of them turned to falling variance."""
    if isinstance(module, Residual):
        return module
    if isinstance(module, Orthogonal):
        return Orthogonal(module.trained_components, _ordered(module.exact(), data, dims))
    return Linear(len(module.matrix), _ordered(module.matrix.detach().cpu().double(), data, dims).float())


@torch.no_grad()
def _ordered(matrix: Tensor, data: TrainingSet, dims: Sequence[int]) -> Tensor:
    reach = len(matrix)
    rows = as_tensor(data.corpus[: data.anchors, :reach], torch.device("cpu"))
    moment = (rows.T @ rows).double() / len(rows)
    turned = matrix.clone()
    for first, last in pairwise((0, *(w for w in dims if w < reach), reach)):
        block = matrix[:, first:last]
        turned[:, first:last] = block @ _principal(block.T @ moment @ block)
    return turned


def _principal(moment: Tensor) -> Tensor:
    """Eigenvectors by falling eigenvalue; each column's largest entry is positive, so equal input gives equal bytes."""
    columns = torch.linalg.eigh(moment).eigenvectors.flip(1)
    largest = columns.abs().argmax(dim=0, keepdim=True)
    signs = torch.where(columns.gather(0, largest) < 0, -1.0, 1.0).double()
    principal: Tensor = columns * signs
    return principal


def _gains(module: Orthogonal | Linear, judged: tuple[TrainingSet, tuple[int, ...], Metric]) -> Scores:
    """Change of both measures against the start for each dim and held-out row: float64 (2, w, h)."""
    start = Orthogonal(module.trained_components if isinstance(module, Orthogonal) else len(module.matrix))
    return validate_dims(module, *judged) - validate_dims(start, *judged)


def _allowed(metric: Metric) -> dict[str, float]:
    """What a dim may lose of each measure. Of the plain overlap it may be more: the map gives up some of the tenth
    neighbour for the first. Least where lengths count: a few long vectors are near everything there, so that the top
    says little of the rest."""
    return {"graded overlap@10": 0.005, "overlap@10": 0.06 if metric == "cosine" else 0.02}


def _lost(dims: Sequence[int], gains: Scores, metric: Metric) -> tuple[int, str] | None:
    """The first dim whose mean loss, less two standard errors, is more than allowed, and what it lost in words."""
    for number, dim in enumerate(dims):
        for (measure, allowed), gain in zip(_allowed(metric).items(), gains[:, number], strict=True):
            if gain.mean() + 2 * _error(gain) < -allowed:
                return dim, f"dim {dim} lost {-gain.mean():.3f} {measure}"
    return None


def _error(gains: Scores) -> float:
    return float(np.std(gains, ddof=1) / np.sqrt(len(gains))) if len(gains) > 1 else np.inf
