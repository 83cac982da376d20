"""One step's loss: gathers the rows, runs the model once over all of them, and adds the weighted terms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from adaptor import distillation, losses
from adaptor.batches import AnchorRows, QueryRows
from adaptor.model import AdaptorModule
from adaptor.settings import LossSettings, Metric
from adaptor.tensors import on_device


class Trainee(nn.Module):
    """The module and, for the list-wise term, one learned inverse temperature per dim (w,)."""

    def __init__(self, module: AdaptorModule, dims: tuple[int, ...], temperature: float) -> None:
        super().__init__()
        self.module = module
        self.log_scale = nn.Parameter(torch.full((len(dims),), -float(np.log(temperature))))

    def forward(self, vectors: Tensor, columns: int | None = None) -> tuple[Tensor, Tensor]:
        """Vectors (n, d) → adapted (n, c), at most `columns` of them, and the inverse temperatures (w,)."""
        return self.module(vectors, columns), self.log_scale.exp()


@dataclass(frozen=True)
class Objective:
    """Weights and metric of a stage."""

    loss: LossSettings
    metric: Metric

    def __call__(
        self,
        model: Callable[[Tensor, int | None], tuple[Tensor, Tensor]],
        corpus: Tensor,
        queries: Tensor | None,
        anchor_rows: AnchorRows,
        query_rows: QueryRows | None,
    ) -> Tensor:
        """Loss of this worker's part of a step: () tensor with gradient."""
        index = [anchor_rows.anchors, anchor_rows.candidates, *([] if query_rows is None else [query_rows.documents])]
        vectors = corpus.index_select(0, on_device(np.concatenate(index), corpus.device))
        if anchor_rows.noise is not None:
            vectors[: len(anchor_rows.anchors)] += on_device(anchor_rows.noise, corpus.device)
        if query_rows is not None and queries is not None:
            vectors = torch.cat([vectors, queries.index_select(0, on_device(query_rows.queries, corpus.device))])
            index.append(query_rows.queries)
        adapted, scale = model(vectors, None if self.loss.reconstruction else anchor_rows.dims[-1])
        originals, pieces = (torch.split(whole, [len(part) for part in index]) for whole in (vectors, adapted))
        total = anchor_rows.share * self._unsupervised(originals, pieces, scale, anchor_rows)
        if query_rows is not None:
            grades = on_device(query_rows.grades, corpus.device)
            prefixes = losses.prefix_similarities(pieces[3], pieces[2], anchor_rows.dims, self.metric)
            total = total + query_rows.share * self._supervised(prefixes, grades)
        return total

    def _unsupervised(
        self, originals: tuple[Tensor, ...], pieces: tuple[Tensor, ...], scale: Tensor, rows: AnchorRows
    ) -> Tensor:
        loss, pair = self.loss, (pieces[0], pieces[1])
        full = losses.similarities(originals[0], originals[1], self.metric)
        # The temperatures take part even when no term uses them: data-parallel training wants a gradient for each
        # parameter.
        total = 0.0 * scale.sum()
        if loss.listwise:
            lists = distillation.teacher(full, on_device(rows.self_pairs, full.device), loss.temperature)
            total = total + loss.listwise * distillation.distil(pair, rows.dims, scale, lists, self.metric)
        if loss.topk or loss.pairwise:
            prefixes = losses.prefix_similarities(*pair, rows.dims, self.metric)
            for weight, mask in ((loss.topk, rows.neighbour_mask), (loss.pairwise, rows.batch_mask)):
                if weight and mask is not None:
                    total = total + weight * losses.similarity_change(full, prefixes, on_device(mask, full.device))
        if loss.reconstruction:
            original = originals[0][:, : pieces[0].shape[1]]
            total = total + loss.reconstruction * losses.reconstruction(original, pieces[0])
        return total

    def _supervised(self, prefixes: Tensor, grades: Tensor) -> Tensor:
        total = prefixes.new_zeros(())
        if self.loss.contrastive:
            total = total + self.loss.contrastive * losses.contrastive(prefixes, grades, self.loss.temperature)
        if self.loss.ranking:
            total = total + self.loss.ranking * losses.ranking(prefixes, grades)
        return total
