"""The held-out score that training stops by."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from adaptor.artefact import Floats
from adaptor.losses import prefix_similarities
from adaptor.model import Form
from adaptor.neighbours import Ids
from adaptor.quality import Scores, overlap_at_k
from adaptor.settings import Metric
from adaptor.tensors import as_tensor
from adaptor.training_set import JUDGED_K, Labels, TrainingSet

#: Similarities held at once, over all widths (float32).
_SIMILARITIES = 8_000_000


@torch.no_grad()
def judge(form: Form, data: TrainingSet, widths: tuple[int, ...], metric: Metric, stage: int) -> float:
    """Mean over `widths` of the share of true neighbours (stage 2: of relevant documents) that held-out rows find in
    their top 10."""
    device = next(form.parameters()).device
    if stage == 2 and data.supervision is not None:
        found = _search(form, data.supervision.held_out, data.corpus, widths, metric, device)
        return float(np.mean([_recall(f, data.supervision.held_out_labels) for f in found]))
    return float(judge_widths(form, data, widths, metric).mean())


@torch.no_grad()
def judge_widths(form: Form, data: TrainingSet, widths: tuple[int, ...], metric: Metric) -> Scores:
    """Overlap@10 of each held-out row at each width: float64 (w, h)."""
    device = next(form.parameters()).device
    found = _search(form, data.held_out, data.corpus[: data.searched], widths, metric, device)
    return np.stack([overlap_at_k(data.truth, f, JUDGED_K) for f in found])


def _search(
    form: Form, asked: Floats, corpus: Floats, widths: tuple[int, ...], metric: Metric, device: torch.device
) -> list[Ids]:
    """Row numbers of the top 10 per width, (q, 10) each; ties as they fall, this is a progress score."""
    targets: Tensor = form(as_tensor(corpus, device))
    step = max(1, _SIMILARITIES // (len(corpus) * len(widths)))
    k = min(JUDGED_K, len(corpus))
    parts = []
    for start in range(0, len(asked), step):
        sought = form(as_tensor(asked[start : start + step], device))
        parts.append(prefix_similarities(sought, targets, widths, metric).topk(k, dim=2).indices.cpu())
    return list(torch.cat(parts, dim=1).numpy())


def _recall(found: Ids, labels: Labels) -> float:
    hits = (found[labels.queries] == labels.documents[:, None]).any(axis=1)
    relevant = np.bincount(labels.queries, minlength=len(found))
    share = np.bincount(labels.queries, weights=hits, minlength=len(found)) / np.maximum(relevant, 1)
    return float(share[relevant > 0].mean()) if relevant.any() else 0.0
