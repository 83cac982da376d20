"""The float64 half of the neighbour search: the scores of chosen pairs, right to the last bit of float32.

A GPU adds the products of a pair in another order than the CPU: their scores, rounded to float32, differ about once in
ten million pairs, by one last bit. Which of both takes a search may depend on how the corpus is cut.
"""

from __future__ import annotations

import numpy as np

from adaptor.gpu import gpu_seen
from adaptor.rows import Doubles, Floats, Ids, unit_rows
from adaptor.settings import Metric

#: Numbers gathered at once of each side: few enough for the cache of a CPU; with their products 1 GB on a GPU.
_CPU_GATHER, _GPU_GATHER = 1 << 17, 1 << 25


def score_pairs(left: Floats, right: Floats, rows: Ids, picked: Ids, metric: Metric) -> Doubles:
    """Score of `left[rows[i]]` with `right[picked[i]]`, rows of (q, d) and (n, d): float64 (p,).

    The inner product or, for `l2`, minus the squared distance. Many pairs are taken to the GPU where torch sees one.
    """
    # Both sides travel whole: that pays when there is about a pair for each of their rows.
    worth_it = len(rows) >= len(left) + len(right) and gpu_seen()
    return (_by_torch if worth_it else _by_numpy)(left, right, rows, picked, metric)


def score_neighbours(queries: Floats, vectors: Floats, ids: Ids, metric: Metric) -> Floats:
    """Similarity of each query (q, d) to those of `vectors` (n, d) that its ids (q, k) number: float32 (q, k).

    For cosine both sides are scaled to length 1. An id of -1 stands for no row: its number means nothing.
    """
    if metric == "cosine":
        queries, vectors = unit_rows(queries), unit_rows(vectors)
    rows = np.repeat(np.arange(len(ids)), ids.shape[1])
    return score_pairs(queries, vectors, rows, ids.ravel(), metric).astype(np.float32).reshape(ids.shape)


def _by_numpy(left: Floats, right: Floats, rows: Ids, picked: Ids, metric: Metric) -> Doubles:
    scores = np.empty(len(rows))
    step = max(1, _CPU_GATHER // right.shape[1])
    for start in range(0, len(rows), step):
        pairs = slice(start, start + step)
        one, other = left[rows[pairs]].astype(np.float64), right[picked[pairs]].astype(np.float64)
        if metric == "l2":
            one -= other
            other = one
        scores[pairs] = np.einsum("pd,pd->p", one, other)
    return -scores if metric == "l2" else scores


def _by_torch(left: Floats, right: Floats, rows: Ids, picked: Ids, metric: Metric, device: str = "cuda") -> Doubles:
    import torch  # takes seconds: only where it is used

    ones, others = torch.tensor(left, device=device), torch.tensor(right, device=device)
    scores = torch.empty(len(rows), dtype=torch.float64, device=device)
    step = max(1, _GPU_GATHER // right.shape[1])
    for start in range(0, len(rows), step):
        pairs = slice(start, start + step)
        one = ones[torch.tensor(rows[pairs], device=device)].double()
        other = others[torch.tensor(picked[pairs], device=device)].double()
        if metric == "l2":
            one -= other
            other = one
        scores[pairs] = (one * other).sum(1)
    values: Doubles = scores.cpu().numpy()
    return -values if metric == "l2" else values
