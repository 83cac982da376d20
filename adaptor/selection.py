"""What happens to trained maps before they are used: they give way where they lost, and columns are put in order.

Held-out rows judge every width on its own, by the graded overlap@10 (quality.py). The map that narrow outputs have to
themselves is cut off at the first width that does worse than the start beyond noise; a rotation is drawn back into the
coordinates before it. That width then scores exactly like the start again, as do all wider ones.
Last, the columns between two trained widths are sorted by variance: trained widths do not notice, those between gain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from adaptor.model import Form, Linear, Orthogonal, Residual, free_widths
from adaptor.quality import Scores
from adaptor.settings import Metric
from adaptor.tensors import as_tensor
from adaptor.training import Job
from adaptor.training_set import TrainingSet
from adaptor.validation import judge_widths

#: A map that gains less than one standard error over all widths was luck: the start is kept.
_CERTAIN = 1.0


@dataclass(frozen=True)
class Settled:
    """The form to use, and what was held back, in words for the user (empty: nothing)."""

    form: Form
    held_back: tuple[str, ...] = ()
    narrow: Tensor | None = None
    """Beside an untrained form: the matrix (b, c) from started coordinates to outputs of at most c columns."""


def settle(form: Form, data: TrainingSet, widths: Sequence[int], metric: Metric) -> Settled:
    """The form as it is to be used. An untrained form and the paper's perceptron come back as they are."""
    if isinstance(form, Residual):
        return Settled(form)
    if not isinstance(form, Orthogonal):
        return Settled(in_order(form, data, widths))
    notes = list[str]()
    while tried := free_widths(form, tuple(widths)):
        gains = _gains(form, (data, tried, metric))
        if chance := _no_more_than_chance(gains[0].mean(axis=0)):
            notes.append(chance)
            return Settled(Orthogonal(form.leading), tuple(notes))
        lost = _lost(tried, gains, metric)
        if not lost:
            break
        width, told = lost
        notes.append(
            f"{told} on held-out rows: the rotation is drawn back into the leading {width} coordinates, and width "
            f"{width} scores like its start"
        )
        form = drawn_back(form, width)
    return Settled(in_order(form, data, widths), tuple(notes))


def settle_narrow(start: Orthogonal, head: Linear, job: Job) -> Settled:
    """The start, and as much of the narrow map as held-out rows do not speak against: its columns up to the last
    trained width before the first that does worse than the start; none where all of them together gain nothing."""
    gains = _gains(head, (job.data, job.widths, job.metric))
    lost = _lost(job.widths, gains, job.metric)
    kept, notes = job.widths, list[str]()
    if lost:
        kept = job.widths[: job.widths.index(lost[0])]
        notes.append(
            f"{lost[1]} on held-out rows with the map of narrow outputs: outputs of more than {max(kept, default=0)} "
            "columns stay as the start has them"
        )
    if not kept:
        return Settled(start, tuple(notes))
    if chance := _no_more_than_chance(gains[0, : len(kept)].mean(axis=0)):
        return Settled(start, (chance,))
    ordered = _ordered(head.matrix.detach().cpu().double(), job.data, job.widths)
    return Settled(start, tuple(notes), ordered[:, : kept[-1]])


def _no_more_than_chance(gain: Scores) -> str:
    """Words for the user when the change of graded overlap@10 per held-out row (h,) is no sure gain; else nothing."""
    if gain.mean() > _CERTAIN * _error(gain):
        return ""
    return (
        f"training gains {gain.mean():+.4f} graded overlap@10 on {len(gain):,} held-out rows, no more than chance "
        f"(standard error {_error(gain):.4f}): its start is kept; a larger mining.sample_rows may help"
    )


def drawn_back(form: Orthogonal, leading: int) -> Orthogonal:
    """The rotation inside the leading coordinates that is nearest in its columns, first ones first (Gram-Schmidt)."""
    columns, upper = torch.linalg.qr(form.exact()[:leading, :leading])
    # A QR decomposition leaves the signs open; positive ones keep the columns' directions.
    signs = torch.where(torch.diagonal(upper) < 0, -1.0, 1.0).double()
    return Orthogonal(leading, columns * signs)


def in_order(form: Form, data: TrainingSet, widths: Sequence[int]) -> Form:
    """The same map at every trained width, with the columns between two of them turned to falling variance."""
    if isinstance(form, Residual):
        return form
    if isinstance(form, Orthogonal):
        return Orthogonal(form.leading, _ordered(form.exact(), data, widths))
    return Linear(len(form.matrix), _ordered(form.matrix.detach().cpu().double(), data, widths).float())


@torch.no_grad()
def _ordered(matrix: Tensor, data: TrainingSet, widths: Sequence[int]) -> Tensor:
    reach = len(matrix)
    rows = as_tensor(data.corpus[: data.anchors, :reach], torch.device("cpu"))
    moment = (rows.T @ rows).double() / len(rows)
    turned = matrix.clone()
    for first, last in pairwise((0, *(w for w in widths if w < reach), reach)):
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


def _gains(form: Orthogonal | Linear, judged: tuple[TrainingSet, tuple[int, ...], Metric]) -> Scores:
    """Change of both measures against the start for each width and held-out row: float64 (2, w, h)."""
    start = Orthogonal(form.leading if isinstance(form, Orthogonal) else len(form.matrix))
    return judge_widths(form, *judged) - judge_widths(start, *judged)


def _allowed(metric: Metric) -> dict[str, float]:
    """What a width may lose of each measure. Of the plain overlap it may be more: the map gives up some of the tenth
    neighbour for the first. Least where lengths count: a few long vectors are near everything there, so that the top
    says little of the rest."""
    return {"graded overlap@10": 0.005, "overlap@10": 0.06 if metric == "cosine" else 0.02}


def _lost(widths: Sequence[int], gains: Scores, metric: Metric) -> tuple[int, str] | None:
    """The first width whose mean loss, less two standard errors, is more than allowed, and what it lost in words."""
    for number, width in enumerate(widths):
        for (measure, allowed), gain in zip(_allowed(metric).items(), gains[:, number], strict=True):
            if gain.mean() + 2 * _error(gain) < -allowed:
                return width, f"width {width} lost {-gain.mean():.3f} {measure}"
    return None


def _error(gains: Scores) -> float:
    return float(np.std(gains, ddof=1) / np.sqrt(len(gains))) if len(gains) > 1 else np.inf
