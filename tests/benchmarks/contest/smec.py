"""SMEC (arXiv 2510.12474) on frozen vectors: one dim after the other, from wide to narrow.

Taken over: each stage learns the next narrower dim from the frozen result of the stage before (sequential training);
which coordinates it keeps is learned through a Gumbel top-k with straight-through gradient (adaptive dimension
selection); a first-in-first-out memory of documents gives every document of the batch its most similar ones, whose
similarity must not change (selectable cross-batch memory); ranking loss as in Search-Adaptor. Adapted: the encoder is
frozen, so the memory never ages and its documents pass through the current stage; a stage is a residual linear layer;
the dims are those that all contestants are trained for, where the paper float16; importance starts as the log
variance of a coordinate. Not published in what we could read, so ours: memory of 4,096, its 10 nearest, temperature 1,
weight 1; steps and patience as Search-Adaptor, per stage. Each dim has a map of its own (the others serve all dims
with one), and a dim between takes its most important coordinates from the next wider stage.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from adaptor.rows import Floats
from adaptor.settings import DIM_LADDER
from adaptor.training_set import TrainingSet
from tests.benchmarks.contest.maps import Maps, linear
from tests.benchmarks.contest.pairs import (
    Pairs,
    draw_pairs,
    held_out_score,
    learn,
    ranking_loss,
    supervision_of,
    with_random_hold_out,
)
from tests.benchmarks.contest.product import prepare_here
from tests.benchmarks.contest.sets import SearchSet

MEMORY, NEAREST, TEMPERATURE, ALIGNMENT = 4096, 10, 1.0, 1.0


class Stage(nn.Module):
    """From the map so far (d, a) to `dim` of its a columns: a residual layer, then a choice of coordinates."""

    def __init__(self, before: Tensor, importance: Tensor, dim: int) -> None:
        super().__init__()
        self.dim, self.before = dim, before
        self.layer = nn.Parameter(torch.zeros(before.shape[1], before.shape[1]))
        self.importance = nn.Parameter(importance.clone())

    def matrix(self) -> Tensor:
        """The map (d, a), columns by falling importance."""
        order = self.importance.argsort(descending=True, stable=True)
        return (self.before @ (torch.eye(len(self.layer)) + self.layer))[:, order]

    def forward(self, vectors: Tensor) -> Tensor:
        """(n, d) → (n, dim): the most important columns."""
        return vectors @ self.matrix()[:, : self.dim]

    def sampled(self, vectors: Tensor, noise: Tensor) -> Tensor:
        """(n, d) → (n, a) with all but `dim` columns zero, chosen with Gumbel noise (a,); the gradient is that of the
        soft choice."""
        shares = torch.softmax((self.importance + noise) / TEMPERATURE, dim=0) * self.dim
        hard = torch.zeros_like(shares).scatter(0, shares.topk(self.dim).indices, 1.0)
        narrowed = vectors @ self.before
        return (narrowed + narrowed @ self.layer) * (hard + shares - shares.detach())


def fit(there: SearchSet, seed: int, start: str) -> Maps:
    """One map per trained dim, from the full dimension down; `start` is identity or pca."""
    prepared = prepare_here(there, {"variant": {"model": {"initialisation": start}}}, seed, labels=True).prepared
    data, input_dim = with_random_hold_out(prepared.job.data, seed), there.vectors.shape[1]
    before, maps = torch.eye(input_dim), {}
    for dim in [input_dim, *reversed([w for w in DIM_LADDER if w < input_dim])]:
        variance = (torch.from_numpy(data.corpus) @ before).var(0)
        stage = Stage(before, variance.log(), dim)
        _train(stage, data, seed)
        before = stage.matrix()[:, :dim].detach()
        padded = np.zeros((input_dim, input_dim), np.float32)
        padded[:, :dim] = prepared.basis.matrix @ before.numpy()
        maps[dim] = linear(padded, "smec")
    return maps


def _train(stage: Stage, data: TrainingSet, seed: int) -> None:
    corpus, queries = torch.from_numpy(data.corpus), torch.from_numpy(supervision_of(data).queries)
    memory: deque[int] = deque(maxlen=MEMORY)

    def loss(step: int) -> Tensor:
        """Of one batch: ranking, and similarities to the nearest documents of the memory."""
        pairs = draw_pairs(data, seed, step)
        near = _nearest(data.corpus, pairs, memory)
        count, per = pairs.negatives.shape
        rows = np.concatenate([pairs.documents, pairs.negatives.ravel(), near.ravel()])
        draw = np.random.default_rng([seed, 21, stage.dim, step])
        noise = torch.from_numpy(draw.gumbel(size=len(stage.importance)).astype(np.float32))
        adapted = stage.sampled(torch.cat([queries[pairs.queries], corpus[rows]]), noise)
        asked, documents, negatives, close = torch.split(adapted, [count, count, count * per, near.size])
        ranked = ranking_loss(asked, documents, negatives.view(count, per, -1), pairs)
        full = torch.einsum("pd,pkd->pk", corpus[pairs.documents], corpus[near])
        normal = functional.normalize(close.view(*near.shape, -1), dim=-1)
        now = torch.einsum("pm,pkm->pk", functional.normalize(documents, dim=-1), normal)
        return ranked + ALIGNMENT * (full - now).abs().sum(1).mean()

    learn(stage, loss, lambda: held_out_score(stage, data, (stage.dim,)))


def _nearest(corpus: Floats, pairs: Pairs, memory: deque[int]) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """Rows (p, NEAREST) of the memory that are most similar to each document at full dimension; the memory then takes
    the batch."""
    memory.extend(int(row) for row in np.unique(np.concatenate([pairs.documents, pairs.negatives.ravel()])))
    rows = np.unique(np.fromiter(memory, np.int64))
    similarities = corpus[pairs.documents] @ corpus[rows].T
    similarities[rows[None, :] == pairs.documents[:, None]] = -np.inf
    return rows[np.argpartition(-similarities, NEAREST, axis=1)[:, :NEAREST]]
