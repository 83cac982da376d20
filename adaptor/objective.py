"""One step's loss: gathers the rows, runs the model once over all of them, and adds the weighted terms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from adaptor import losses
from adaptor.batches import AnchorRows, QueryRows
from adaptor.model import Form
from adaptor.neighbours import Ids
from adaptor.settings import LossSettings, Metric


class Trainee(nn.Module):
    """The form and, for the list-wise term, one learned inverse temperature per width (w,)."""

    def __init__(self, form: Form, widths: tuple[int, ...], temperature: float) -> None:
        super().__init__()
        self.form = form
        self.log_scale = nn.Parameter(torch.full((len(widths),), -float(np.log(temperature))))

    def forward(self, started: Tensor) -> tuple[Tensor, Tensor]:
        """Started vectors (n, d) → adapted (n, c), and the inverse temperatures (w,)."""
        return self.form(started), self.log_scale.exp()


@dataclass(frozen=True)
class Objective:
    """Weights, trained widths and metric of a stage."""

    loss: LossSettings
    widths: tuple[int, ...]
    metric: Metric

    def __call__(
        self,
        model: Callable[[Tensor], tuple[Tensor, Tensor]],
        corpus: Tensor,
        queries: Tensor | None,
        rows: AnchorRows,
        asked: QueryRows | None,
    ) -> Tensor:
        """Loss of this worker's part of a step: () tensor with gradient."""
        parts = [corpus[_index(rows.anchors, corpus)], corpus[_index(rows.candidates, corpus)]]
        if asked is not None and queries is not None:
            parts += [queries[_index(asked.queries, corpus)], corpus[_index(asked.documents, corpus)]]
        adapted, scale = model(torch.cat(parts))
        pieces = torch.split(adapted, [len(p) for p in parts])
        total = rows.share * self._unsupervised(parts, pieces, scale, rows)
        if asked is not None:
            total = total + asked.share * self._supervised(pieces, torch.from_numpy(asked.grades).to(corpus.device))
        return total

    def _unsupervised(self, parts: list[Tensor], pieces: tuple[Tensor, ...], scale: Tensor, rows: AnchorRows) -> Tensor:
        loss = self.loss
        prefixes = losses.prefix_similarities(pieces[0], pieces[1], self.widths, self.metric)
        full = losses.prefix_similarities(parts[0], parts[1], (parts[0].shape[1],), self.metric)[0]
        masks = (rows.itself, rows.neighbour, rows.batch)
        itself, neighbour, batch = (torch.from_numpy(np.ascontiguousarray(m)).to(full.device) for m in masks)
        # The temperatures take part even when no term uses them: data-parallel training wants a gradient for each
        # parameter.
        total = 0.0 * scale.sum()
        if loss.listwise:
            total = total + loss.listwise * losses.listwise(full, prefixes, scale, itself, loss.temperature)
        if loss.topk:
            total = total + loss.topk * losses.similarity_change(full, prefixes, neighbour)
        if loss.pairwise:
            total = total + loss.pairwise * losses.similarity_change(full, prefixes, batch)
        if loss.reconstruction:
            total = total + loss.reconstruction * losses.reconstruction(parts[0][:, : pieces[0].shape[1]], pieces[0])
        return total

    def _supervised(self, pieces: tuple[Tensor, ...], grades: Tensor) -> Tensor:
        prefixes = losses.prefix_similarities(pieces[2], pieces[3], self.widths, self.metric)
        total = prefixes.new_zeros(())
        if self.loss.contrastive:
            total = total + self.loss.contrastive * losses.contrastive(prefixes, grades, self.loss.temperature)
        if self.loss.ranking:
            total = total + self.loss.ranking * losses.ranking(prefixes, grades)
        return total


def _index(rows: Ids, like: Tensor) -> Tensor:
    return torch.from_numpy(rows).to(like.device)
