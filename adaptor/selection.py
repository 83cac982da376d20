"""What happens to trained maps before they are used: they fall back to PCA where they lost, and columns are sorted.

Held-out rows judge every dim on its own, by the graded overlap@10 (quality.py). The low-dimensional head is cut off at
the first dim that does worse than the initial basis beyond noise; a rotation is restricted to the coordinates before
it. That dim then scores exactly like the initial basis again, as do all wider ones. Last, the columns between two
trained dims are sorted by variance: trained dims do not notice, those between gain.
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
from adaptor.training_job import TrainingJob
from adaptor.training_set import TrainingSet
from adaptor.validation import validate_dims

#: A map that gains less than one standard error over all dims was luck: the initial one is kept.
_CERTAIN = 1.0


@dataclass(frozen=True)
class Selection:
    """The module to use, and where it falls back to its start, in words for the user (empty: nowhere)."""

    module: AdaptorModule
    fallback_notes: tuple[str, ...] = ()
    head: Tensor | None = None
    """Beside an untrained module: the matrix (b, c) from the initial basis to outputs of at most c columns."""


def select(module: AdaptorModule, job: TrainingJob) -> Selection:
    """The module as it is to be used. An untrained module and the paper's perceptron come back as they are."""
    if isinstance(module, Residual):
        return Selection(module)
    if not isinstance(module, Orthogonal):
        return Selection(sorted_by_variance(module, job.data, job.dims))
    notes = list[str]()
    while dims := trainable_dims(module, job.dims):
        gains = _gains(module, job.data, dims, job.metric)
        if chance := _no_more_than_chance(gains[0].mean(axis=0)):
            notes.append(chance)
            return Selection(Orthogonal(module.trained_components), tuple(notes))
        loss = _first_loss(dims, gains, job.metric)
        if loss is None:
            break
        notes.append(
            f"{loss.words} on held-out rows: the rotation is restricted to the leading {loss.dim} coordinates, and dim "
            f"{loss.dim} scores like its start"
        )
        module = restricted(module, loss.dim)
    return Selection(sorted_by_variance(module, job.data, job.dims), tuple(notes))


def select_head(initial: Orthogonal, head: Linear, job: TrainingJob) -> Selection:
    """The initial module, and as much of the low-dimensional head as held-out rows do not speak against: its columns up
    to the last trained dim before the first that does worse than the initial basis; none where all of them together
    gain nothing."""
    gains = _gains(head, job.data, job.dims, job.metric)
    dims, notes = job.dims, list[str]()
    if loss := _first_loss(job.dims, gains, job.metric):
        dims = job.dims[: job.dims.index(loss.dim)]
        notes.append(
            f"{loss.words} on held-out rows with the low-dimensional head: outputs of more than "
            f"{max(dims, default=0)} columns stay as the start has them"
        )
    if not dims:
        return Selection(initial, tuple(notes))
    if chance := _no_more_than_chance(gains[0, : len(dims)].mean(axis=0)):
        return Selection(initial, (chance,))
    ordered = _ordered(head.matrix.detach().cpu().double(), job.data, job.dims)
    return Selection(initial, tuple(notes), ordered[:, : dims[-1]])


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
    """The same map at every trained dim, with the columns between two of them rotated to falling variance."""
    if isinstance(module, Residual):
        return module
    if isinstance(module, Orthogonal):
        return Orthogonal(module.trained_components, _ordered(module.exact(), data, dims))
    return Linear(len(module.matrix), _ordered(module.matrix.detach().cpu().double(), data, dims).float())


@torch.no_grad()
def _ordered(matrix: Tensor, data: TrainingSet, dims: Sequence[int]) -> Tensor:
    components = len(matrix)
    rows = as_tensor(data.corpus[: data.anchors, :components], torch.device("cpu"))
    moment = (rows.T @ rows).double() / len(rows)
    ordered = matrix.clone()
    for first, last in pairwise((0, *(dim for dim in dims if dim < components), components)):
        block = matrix[:, first:last]
        ordered[:, first:last] = block @ _principal(block.T @ moment @ block)
    return ordered


def _principal(moment: Tensor) -> Tensor:
    """Eigenvectors by falling eigenvalue; each column's largest entry is positive, so equal input gives equal bytes."""
    columns = torch.linalg.eigh(moment).eigenvectors.flip(1)
    largest = columns.abs().argmax(dim=0, keepdim=True)
    signs = torch.where(columns.gather(0, largest) < 0, -1.0, 1.0).double()
    principal: Tensor = columns * signs
    return principal


def _gains(module: Orthogonal | Linear, data: TrainingSet, dims: tuple[int, ...], metric: Metric) -> Scores:
    """Change of both measures against the initial basis for each dim and held-out row: float64 (2, w, h)."""
    initial = Orthogonal(module.trained_components if isinstance(module, Orthogonal) else len(module.matrix))
    return validate_dims(module, data, dims, metric) - validate_dims(initial, data, dims, metric)


def _allowed(metric: Metric) -> dict[str, float]:
    """What a dim may lose of each measure. Of the plain overlap it may be more: the map gives up some of the tenth
    neighbour for the first. Least where lengths count: a few long vectors are near everything there, so that the top
    says little of the rest."""
    return {"graded overlap@10": 0.005, "overlap@10": 0.06 if metric == "cosine" else 0.02}


@dataclass(frozen=True)
class _Loss:
    """A dim that does worse than the initial basis, and by how much in words."""

    dim: int
    words: str


def _first_loss(dims: Sequence[int], gains: Scores, metric: Metric) -> _Loss | None:
    """The first dim whose mean loss, less two standard errors, is more than allowed."""
    for number, dim in enumerate(dims):
        for (measure, allowed), gain in zip(_allowed(metric).items(), gains[:, number], strict=True):
            if gain.mean() + 2 * _error(gain) < -allowed:
                return _Loss(dim, f"dim {dim} lost {-gain.mean():.3f} {measure}")
    return None


def _error(gains: Scores) -> float:
    return float(np.std(gains, ddof=1) / np.sqrt(len(gains))) if len(gains) > 1 else np.inf
