"""What happens to trained maps before they are used: they give way where they lost, and columns are put in order.

Held-out rows judge every width on its own. Where the rotation does worse than its start beyond noise, it is drawn back
into the coordinates before that width, which then scores exactly like the start again, as do all wider ones. The map
that narrow outputs have to themselves is cut off at the first such width. Last, the columns between two trained widths
are sorted by variance: trained widths do not notice, those between them gain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from adaptor.judging import judge_widths
from adaptor.model import Form, Linear, Orthogonal, Residual, free_widths
from adaptor.quality import Scores
from adaptor.settings import Metric
from adaptor.tensors import as_tensor
from adaptor.training import Job
from adaptor.training_set import TrainingSet

#: A width has lost when even two standard errors above its mean change of overlap@10 are this far below zero.
_LOST = 0.005
#: A rotation that gains less than one standard error over all widths was luck: the start is kept.
_CERTAIN = 1.0


@dataclass(frozen=True)
class Settled:
    """The form to use, and what was held back, in words for the user (empty: nothing)."""

    form: Form
    held_back: tuple[str, ...] = ()
    narrow: Tensor | None = None
    """Beside a rotation: the matrix (b, c) from started coordinates to outputs of at most c columns."""


def settle(form: Form, data: TrainingSet, widths: Sequence[int], metric: Metric) -> Settled:
    """The form as it is to be used. An untrained form and the paper's perceptron come back as they are."""
    if isinstance(form, Residual):
        return Settled(form)
    if not isinstance(form, Orthogonal):
        return Settled(in_order(form, data, widths))
    notes = list[str]()
    while tried := free_widths(form, tuple(widths)):
        gains = _gains(form, (data, tried, metric))
        total = gains.mean(axis=0)
        if total.mean() <= _CERTAIN * _error(total):
            notes.append(
                f"training gains {total.mean():+.4f} overlap@10 on {len(total):,} held-out rows, no more than chance "
                f"(standard error {_error(total):.4f}): its start is kept; a larger mining.sample_rows may help"
            )
            return Settled(Orthogonal(form.leading), tuple(notes))
        lost = _lost(tried, gains)
        if not lost:
            break
        width, gain = lost[0]
        notes.append(
            f"width {width} lost {-gain.mean():.3f} overlap@10 on held-out rows: the rotation is drawn back into the "
            f"leading {width} coordinates, and width {width} scores like its start"
        )
        form = drawn_back(form, width)
    return Settled(in_order(form, data, widths), tuple(notes))


def settle_narrow(rotation: Orthogonal, head: Linear | None, job: Job) -> Settled:
    """The rotation, and as much of the narrow map as held-out rows do not speak against: its columns up to the last
    trained width before the first that does worse than the start. None stands for training that found nothing better
    than the rotation."""
    if head is None:
        return Settled(rotation, ("narrow outputs: no map of their own did better than the rotation on held-out rows",))
    lost = _lost(job.widths, _gains(head, (job.data, job.widths, job.metric)))
    kept = job.widths[: job.widths.index(lost[0][0])] if lost else job.widths
    notes = tuple(
        f"width {width} lost {-gain.mean():.3f} overlap@10 on held-out rows with the map of narrow outputs: outputs of "
        f"more than {max(kept, default=0)} columns come from the rotation"
        for width, gain in lost[:1]
    )
    if not kept:
        return Settled(rotation, notes)
    ordered = _ordered(head.matrix.detach().cpu().double(), job.data, job.widths)
    return Settled(rotation, notes, ordered[:, : kept[-1]])


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
    """Change of overlap@10 against the start for each width and held-out row: float64 (w, h)."""
    start = Orthogonal(form.leading if isinstance(form, Orthogonal) else len(form.matrix))
    return judge_widths(form, *judged) - judge_widths(start, *judged)


def _lost(widths: Sequence[int], gains: Scores) -> list[tuple[int, Scores]]:
    """The widths that do worse than the start beyond noise, with their gains (h,)."""
    return [(w, gain) for w, gain in zip(widths, gains, strict=True) if gain.mean() + 2 * _error(gain) < -_LOST]


def _error(gains: Scores) -> float:
    return float(np.std(gains) / np.sqrt(len(gains)))
