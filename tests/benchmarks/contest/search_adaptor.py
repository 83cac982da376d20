"""Search-Adaptor (arXiv 2310.08750): ranking and recovery loss at full dimension, judged pairs only.

Taken over: residual perceptron, batch 128, 10 negatives per positive, at most 2,000 steps, patience 125, Adam 1e-3.
Ours: hidden layer of 512 (not published), the weight of the recovery loss (the paper chooses it on validation queries;
0.1 was chosen here on held-out training queries of SciFact), half of the negatives mined. Narrow dims are prefixes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from adaptor.losses import reconstruction
from adaptor.model import fold, new_model
from adaptor.settings import ModelSettings
from tests.benchmarks.contest.maps import Maps, as_adaptor, one
from tests.benchmarks.contest.pairs import (
    draw_pairs,
    held_out_score,
    learn,
    ranking_loss,
    supervision_of,
    with_random_hold_out,
)
from tests.benchmarks.contest.product import prepare_here
from tests.benchmarks.contest.sets import SearchSet

HIDDEN, RECOVERY = 512, 0.1


def fit(there: SearchSet, seed: int, start: str) -> Maps:
    """The adaptor learned from the identity, or from the PCA rotation, as `start` says."""
    prepared = prepare_here(there, {"variant": {"model": {"initialisation": start}}}, seed, labels=True).prepared
    data, input_dim = with_random_hold_out(prepared.job.data, seed), there.vectors.shape[1]
    module = new_model(ModelSettings(architecture="mlp", hidden_units=HIDDEN), input_dim, seed)
    corpus, queries = torch.from_numpy(data.corpus), torch.from_numpy(supervision_of(data).queries)

    def loss(step: int) -> Tensor:
        """Of one batch."""
        pairs = draw_pairs(data, seed, step)
        count, per = pairs.negatives.shape
        parts = [queries[pairs.queries], corpus[pairs.documents], corpus[pairs.negatives.ravel()]]
        original = torch.cat(parts)
        adapted = module(original)
        asked, documents, negatives = torch.split(adapted, [count, count, count * per])
        ranked = ranking_loss(asked, documents, negatives.view(count, per, input_dim), pairs)
        return ranked + RECOVERY * reconstruction(original, adapted)

    learn(module, loss, lambda: held_out_score(module, data, (input_dim,)))
    return one(as_adaptor("mlp", fold(module, prepared.basis), "search-adaptor"))
