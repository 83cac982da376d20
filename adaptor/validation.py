"""The held-out score by which the best weights are chosen."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from adaptor.losses import prefix_similarities
from adaptor.model import AdaptorModule
from adaptor.quality import Scores, graded_overlap, overlap_at_k
from adaptor.rows import Floats, Ids
from adaptor.settings import Metric
from adaptor.tensors import as_tensor
from adaptor.training_set import TRUTH_K, VALIDATION_K, Labels, Supervision, TrainingSet

#: Similarities held at once, over all dims (float32).
_SIMILARITIES = 8_000_000


def validate(
    module: AdaptorModule, data: TrainingSet, dims: tuple[int, ...], metric: Metric, supervised: bool
) -> Scores:
    """How well each held-out row searches, mean over `dims`: float64 (h,). The graded overlap@10 or, `supervised`, the
    nDCG@10 of each held-out query."""
    if supervised and data.supervision is not None:
        return np.asarray(supervised_scores(module, data.corpus, data.supervision, dims, metric).mean(axis=0))
    rankings = _search(module, data.held_out, data.corpus[: data.searched], dims, metric, VALIDATION_K)
    return np.asarray(_graded(data, rankings, metric).mean(axis=0))


def supervised_scores(
    module: AdaptorModule, corpus: Floats, supervision: Supervision, dims: tuple[int, ...], metric: Metric
) -> Scores:
    """nDCG@10 of each held-out labelled query at each dim, over all of the corpus: float64 (w, h)."""
    rankings = _search(module, supervision.held_out, corpus, dims, metric, VALIDATION_K)
    return np.stack([ndcg(ranked, supervision.held_out_labels) for ranked in rankings])


def validate_dims(module: AdaptorModule, data: TrainingSet, dims: tuple[int, ...], metric: Metric) -> Scores:
    """Graded overlap@10, overlap@10 and overlap@100 of each held-out row at each dim: float64 (3, w, h)."""
    rankings = _search(module, data.held_out, data.corpus[: data.searched], dims, metric, TRUTH_K)
    graded = _graded(data, [ranked[:, :VALIDATION_K] for ranked in rankings], metric)
    overlaps = [[overlap_at_k(data.truth, ranked, k) for ranked in rankings] for k in (VALIDATION_K, TRUTH_K)]
    return np.stack([graded, *overlaps])


def _graded(data: TrainingSet, rankings: list[Ids], metric: Metric) -> Scores:
    rows, truth = data.corpus[: data.searched], data.truth[:, :VALIDATION_K]
    return graded_overlap(data.held_out, rows, truth, np.stack(rankings), metric)


def ndcg(ranked: Ids, labels: Labels) -> Scores:
    """nDCG@k of ranked rows (q, k), best first, as trec_eval has it (gain = grade): float64 (q,).

    Every query has at least one label.
    """
    queries, k = ranked.shape
    discount = 1 / np.log2(np.arange(2, k + 2))
    span = 1 + max(int(ranked.max()), int(labels.documents.max()))
    judged, wanted = labels.queries * span + labels.documents, np.arange(queries)[:, None] * span + ranked
    order = np.argsort(judged)
    row = order[np.searchsorted(judged, wanted, sorter=order).clip(max=len(order) - 1)]
    gains = np.where(judged[row] == wanted, labels.grades[row], 0)
    best = np.lexsort((-labels.grades, labels.queries))
    rank = np.arange(len(best)) - np.searchsorted(labels.queries[best], labels.queries[best])
    ideal, top = np.zeros((queries, k)), rank < k
    ideal[labels.queries[best][top], rank[top]] = labels.grades[best][top]
    return np.asarray((gains @ discount) / (ideal @ discount))


@torch.no_grad()
def _search(
    module: AdaptorModule, queries: Floats, corpus: Floats, dims: tuple[int, ...], metric: Metric, k: int
) -> list[Ids]:
    """Row numbers of the top k per dim, (q, k) each; ties as they fall, this is a progress score."""
    device = next(module.parameters()).device
    targets: Tensor = module(as_tensor(corpus, device))
    step = max(1, _SIMILARITIES // (len(corpus) * len(dims)))
    k = min(k, len(corpus))
    parts = []
    for start in range(0, len(queries), step):
        adapted = module(as_tensor(queries[start : start + step], device))
        parts.append(prefix_similarities(adapted, targets, dims, metric).topk(k, dim=2).indices.cpu())
    return list(torch.cat(parts, dim=1).numpy())
