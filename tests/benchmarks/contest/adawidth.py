"""An adaptor in the style of AdaWidth (arXiv 2608.23862): a product of Householder reflections.

Taken over: orthogonal, so full-dimension scores are exact; 36 reflections (13.8k parameters at 384 dimensions); a
contrastive loss at every dim plus preservation of scores. The paper could not be read here, so the rest is ours:
soft-max over the batch's documents at temperature 0.05, mean squared change of similarity with weight 1, batch 128, at
most 2,000 steps, patience 500, Adam 1e-3. A pair is a query and a relevant document, or, without labels, a document
and its nearest neighbour.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from adaptor.losses import contrastive, prefix_similarities
from adaptor.rows import Floats
from adaptor.training_set import TrainingSet
from adaptor.validation import validate
from tests.benchmarks.contest.maps import Maps, linear, one
from tests.benchmarks.contest.pairs import BATCH, held_out_score, learn, relevant, supervision_of, with_random_hold_out
from tests.benchmarks.contest.product import METRIC, prepare_here
from tests.benchmarks.contest.sets import SearchSet

REFLECTIONS, TEMPERATURE, PRESERVATION, PATIENCE = 36, 0.05, 1.0, 500


class Householder(nn.Module):
    """A product of reflections x → x - 2 (x·v) v / |v|². Starts as the identity: each reflection stands twice."""

    def __init__(self, input_dim: int, seed: int) -> None:
        super().__init__()
        drawn = np.random.default_rng([seed, 30]).normal(size=(REFLECTIONS // 2, input_dim)) / input_dim**0.5
        self.mirrors = nn.Parameter(torch.from_numpy(np.repeat(drawn, 2, axis=0).astype(np.float32)))

    def forward(self, vectors: Tensor) -> Tensor:
        """(n, d) → (n, d)."""
        return vectors @ self.matrix()

    def matrix(self) -> Tensor:
        """The orthogonal map (d, d), all reflections at once: I - V·S⁻¹·Vᵀ, unit mirrors as the columns of V (d, r), S
        upper triangular with VᵀV above the diagonal and ½ on it (compact WY module)."""
        unit = functional.normalize(self.mirrors, dim=1)
        inner = torch.triu(unit @ unit.T, 1) + torch.eye(len(unit)) / 2
        turned: Tensor = torch.eye(unit.shape[1]) - unit.T @ torch.linalg.solve_triangular(inner, unit, upper=True)
        return turned


def fit(there: SearchSet, seed: int, start: str, judged: bool) -> Maps:
    """The adaptor learned from judged pairs, or from neighbours; `start` is identity or pca."""
    begun = prepare_here(there, {"variant": {"model": {"initialisation": start}}}, seed, judged)
    input_dim = there.vectors.shape[1]
    data = with_random_hold_out(begun.prepared.job.data, seed) if judged else begun.prepared.job.data
    dims = tuple(w for w in begun.prepared.job.dims if w < input_dim)
    module = Householder(input_dim, seed)

    def loss(step: int) -> Tensor:
        """Of one batch: contrast and preservation, summed over dims."""
        draw = np.random.default_rng([seed, 31, step])
        drawn = _judged(data, draw) if judged else _neighbours(data, draw)
        left, right, grades = (torch.from_numpy(array) for array in drawn)
        asked, documents = module(torch.cat([left, right])).chunk(2)
        prefixes = prefix_similarities(asked, documents, dims, METRIC)
        full = prefix_similarities(left, right, (input_dim,), METRIC)
        kept = (full - prefixes).square().mean((1, 2)).sum()
        return contrastive(prefixes, grades, TEMPERATURE) + PRESERVATION * kept

    def score() -> float:
        """On held-out queries, or on held-out rows."""
        if judged:
            return held_out_score(module, data, dims)
        return float(validate(module, data, dims, METRIC, False).mean())  # type: ignore[arg-type]  # any module that maps rows will do

    learn(module, loss, score, PATIENCE)
    return one(linear(begun.prepared.basis.matrix @ module.matrix().detach().numpy(), "adawidth"))


def _judged(data: TrainingSet, draw: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    asked = supervision_of(data)
    chosen = draw.choice(len(asked.labels.grades), min(BATCH, len(asked.labels.grades)), replace=False)
    queries, documents = asked.labels.queries[chosen], asked.labels.documents[chosen]
    grades = relevant(data, queries[:, None], documents[None, :]).astype(np.float32)
    return asked.queries[queries], data.corpus[documents], grades


def _neighbours(data: TrainingSet, draw: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    anchors = draw.choice(data.anchors, min(BATCH, data.anchors), replace=False)
    nearest = data.neighbours[anchors, 0]
    grades = (data.neighbours[anchors][:, None, :] == nearest[None, :, None]).any(axis=2)
    itself = anchors[:, None] == nearest[None, :]
    return data.corpus[anchors], data.corpus[nearest], (grades | itself).astype(np.float32)
