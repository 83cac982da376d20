"""How the methods of the literature draw their batches and stop: judged pairs with negatives, patience on held-out
queries. Batches are functions of (seed, step)."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from adaptor.rows import Ids
from adaptor.training_set import Labels, Supervision, TrainingSet, hold_out
from adaptor.validation import validate
from jobs.fit.labels import mined_negatives
from tests.benchmarks.contest.product import METRIC, SearchHere

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


def with_random_hold_out(data: TrainingSet, seed: int) -> TrainingSet:
    """The same labels with a tenth of the queries, drawn at random, held out: how the papers validate. The product
    holds out queries whose documents training does not see, which would stop these methods before they have learned.
    """
    asked = supervision_of(data)
    queries, first = np.concatenate([asked.queries, asked.held_out]), len(asked.queries)
    own, held = asked.labels, asked.held_out_labels
    labels = Labels(
        np.concatenate([own.queries, held.queries + first]),
        np.concatenate([own.documents, held.documents]),
        np.concatenate([own.grades, held.grades]),
    )
    training, validation = hold_out(len(queries), len(asked.held_out) / len(queries), seed)
    negatives = mined_negatives(queries[training], labels.of(training), data.corpus, SearchHere())
    supervision = Supervision(
        queries=queries[training],
        labels=labels.of(training),
        negatives=negatives,
        held_out=queries[validation],
        held_out_labels=labels.of(validation),
    )
    return replace(data, supervision=supervision)


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


def held_out_score(module: nn.Module, data: TrainingSet, dims: Sequence[int]) -> float:
    """Mean nDCG@10 of the held-out queries, over dims."""
    return float(validate(module, data, tuple(dims), METRIC, True).mean())  # type: ignore[arg-type]  # any module that maps rows will do


def learn(
    module: nn.Module, loss: Callable[[int], Tensor], score: Callable[[], float], patience: int = PATIENCE
) -> None:
    """Adam on `loss(step)` until `score()` has not risen for `patience` steps; leaves the best weights in `module`."""
    optimiser = torch.optim.Adam(module.parameters(), lr=LEARNING_RATE)
    best, best_step, kept = -math.inf, 0, copy.deepcopy(module.state_dict())
    for step in range(STEPS + 1):
        if step % (patience // 5) == 0 or step == STEPS:
            found = score()
            if found > best:
                best, best_step, kept = found, step, copy.deepcopy(module.state_dict())
            elif step - best_step >= patience:
                break
        if step < STEPS:
            optimiser.zero_grad()
            torch.autograd.backward(loss(step))
            optimiser.step()
    module.load_state_dict(kept)
