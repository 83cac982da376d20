"""How the methods of the literature draw their batches and stop: judged pairs with negatives, patience on held-out
queries. Batches are functions of (seed, step)."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from adaptor.judging import judge
from adaptor.neighbours import Ids
from adaptor.training_set import Supervision, TrainingSet
from tests.benchmarks.contest.product import METRIC

#: Search-Adaptor: batch, negatives per positive, most steps, patience, learning rate.
BATCH, NEGATIVES, STEPS, PATIENCE, LEARNING_RATE = 128, 10, 2000, 125, 1e-3


@dataclass(frozen=True)
class Pairs:
    """Judged pairs: query (p,), document (p,), grade (p,), and the document's negatives (p, NEGATIVES) with whether
    each counts (a relevant document is no negative)."""

    queries: Ids
    documents: Ids
    grades: Tensor
    negatives: Ids
    counted: Tensor


def supervision_of(data: TrainingSet) -> Supervision:
    """The labels of a training set that has some."""
    if data.supervision is None:
        raise ValueError("this method learns from judgments")
    return data.supervision


def draw_pairs(data: TrainingSet, seed: int, step: int) -> Pairs:
    """Draw judged pairs uniformly; half of the negatives are mined, half random documents."""
    asked, draw = supervision_of(data), np.random.default_rng([seed, 20, step])
    labels = asked.labels
    chosen = draw.choice(len(labels.grades), min(BATCH, len(labels.grades)), replace=False)
    queries = labels.queries[chosen]
    negatives = draw.integers(len(data.corpus), size=(len(chosen), NEGATIVES))
    columns = draw.integers(asked.negatives.shape[1], size=(len(chosen), NEGATIVES // 2))
    mined = asked.negatives[queries[:, None], columns]
    negatives[:, : NEGATIVES // 2] = np.where(mined >= 0, mined, negatives[:, : NEGATIVES // 2])
    counted = ~relevant(data, queries[:, None], negatives)
    return Pairs(
        queries,
        labels.documents[chosen],
        torch.from_numpy(labels.grades[chosen]),
        negatives,
        torch.from_numpy(counted),
    )


def relevant(data: TrainingSet, queries: Ids, documents: Ids) -> NDArray[np.bool_]:
    """Whether each (query, document), broadcast together, is judged relevant."""
    labels = supervision_of(data).labels
    known = labels.queries * len(data.corpus) + labels.documents
    return np.isin(queries * len(data.corpus) + documents, known)


def ranking_loss(queries: Tensor, documents: Tensor, negatives: Tensor, pairs: Pairs) -> Tensor:
    """Search-Adaptor's ranking loss, mean over pairs: Σ_k y_ij log(1 + exp(s_ik - s_ij)) over the negatives k.

    `queries`, `documents` (p, m) and `negatives` (p, k, m) adapted, cosine similarities.
    """
    asked = functional.normalize(queries, dim=-1)
    positive = (asked * functional.normalize(documents, dim=-1)).sum(-1, keepdim=True)
    negative = torch.einsum("pm,pkm->pk", asked, functional.normalize(negatives, dim=-1))
    return (pairs.grades[:, None] * pairs.counted * functional.softplus(negative - positive)).sum(1).mean()


def held_out_score(form: nn.Module, data: TrainingSet, widths: Sequence[int]) -> float:
    """Mean nDCG@10 of the held-out queries, over widths; they share no document with the training queries."""
    return float(judge(form, data, tuple(widths), METRIC, 2).mean())  # type: ignore[arg-type]  # any module that maps rows will do


def learn(form: nn.Module, loss: Callable[[int], Tensor], score: Callable[[], float], patience: int = PATIENCE) -> None:
    """Adam on `loss(step)` until `score()` has not risen for `patience` steps; leaves the best weights in `form`."""
    optimiser = torch.optim.Adam(form.parameters(), lr=LEARNING_RATE)
    best, best_step, kept = -math.inf, 0, copy.deepcopy(form.state_dict())
    for step in range(STEPS + 1):
        if step % (patience // 5) == 0 or step == STEPS:
            found = score()
            if found > best:
                best, best_step, kept = found, step, copy.deepcopy(form.state_dict())
            elif step - best_step >= patience:
                break
        if step < STEPS:
            optimiser.zero_grad()
            torch.autograd.backward(loss(step))
            optimiser.step()
    form.load_state_dict(kept)
