"""The held-out score by which the best weights are chosen."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from adaptor.losses import prefix_similarities
from adaptor.model import AdaptorModule
from adaptor.neighbours import Ids
from adaptor.quality import Scores, graded_overlap, overlap_at_k
from adaptor.rows import Floats
from adaptor.settings import Metric
from adaptor.tensors import as_tensor
from adaptor.training_set import VALIDATION_K, Labels, Supervision, TrainingSet

#: Similarities held at once, over all dims (float32).
_SIMILARITIES = 8_000_000


def validate(module: AdaptorModule, data: TrainingSet, dims: tuple[int, ...], metric: Metric, labels: bool) -> Scores:
    """How well each held-out row searches, mean over `dims`: float64 (h,). The graded overlap@10; with `labels` the
    nDCG@10 of each held-out query."""
    if labels and data.supervision is not None:
        return validate_queries(module, data.corpus, data.supervision, dims, metric)
    return np.asarray(validate_dims(module, data, dims, metric)[0].mean(axis=0))


def validate_dims(module: AdaptorModule, data: TrainingSet, dims: tuple[int, ...], metric: Metric) -> Scores:
    """Graded overlap@10 and overlap@10 of each held-out row at each dim: float64 (2, w, h)."""
    rows = data.corpus[: data.searched]
    found = _search(module, data.held_out, rows, dims, metric)
    graded = graded_overlap(data.held_out, rows, data.truth, np.stack(found), metric)
    return np.stack([graded, [overlap_at_k(data.truth, f, VALIDATION_K) for f in found]])


def validate_queries(
    module: AdaptorModule, corpus: Floats, supervision: Supervision, dims: tuple[int, ...], metric: Metric
) -> Scores:
    """nDCG@10 of each held-out query, mean over `dims`: float64 (h,)."""
    found = _search(module, supervision.held_out, corpus, dims, metric)
    return np.asarray(np.mean([ndcg(f, supervision.held_out_labels) for f in found], axis=0))


def ndcg(found: Ids, labels: Labels) -> Scores:
    """nDCG@k of ranked rows `found` (q, k), best first, as trec_eval has it (gain = grade): float64 (q,).

    Every query has at least one label.
    """
    rows, k = found.shape
    discount = 1 / np.log2(np.arange(2, k + 2))
    span = 1 + max(int(found.max()), int(labels.documents.max()))
    judged, asked = labels.queries * span + labels.documents, np.arange(rows)[:, None] * span + found
    order = np.argsort(judged)
    place = order[np.searchsorted(judged, asked, sorter=order).clip(max=len(order) - 1)]
    gains = np.where(judged[place] == asked, labels.grades[place], 0)
    best = np.lexsort((-labels.grades, labels.queries))
    rank = np.arange(len(best)) - np.searchsorted(labels.queries[best], labels.queries[best])
    ideal, top = np.zeros((rows, k)), rank < k
    ideal[labels.queries[best][top], rank[top]] = labels.grades[best][top]
    return np.asarray((gains @ discount) / (ideal @ discount))


@torch.no_grad()
def _search(module: AdaptorModule, asked: Floats, corpus: Floats, dims: tuple[int, ...], metric: Metric) -> list[Ids]:
    """Row numbers of the top 10 per dim, (q, 10) each; ties as they fall, this is a progress score."""
    device = next(module.parameters()).device
    targets: Tensor = module(as_tensor(corpus, device))
    step = max(1, _SIMILARITIES // (len(corpus) * len(dims)))
    k = min(VALIDATION_K, len(corpus))
    parts = []
    for start in range(0, len(asked), step):
        sought = module(as_tensor(asked[start : start + step], device))
        parts.append(prefix_similarities(sought, targets, dims, metric).topk(k, dim=2).indices.cpu())
    return list(torch.cat(parts, dim=1).numpy())
