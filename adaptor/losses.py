"""The objective's terms as pure functions of tensors. Legend: p anchors, q candidates, w trained dims, d columns.

All dims cost as much as the largest alone: the columns are cut into blocks between consecutive dims, one product is
taken per block, and the inner products and squared lengths of every prefix are running sums over the blocks.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from adaptor.settings import Metric

_TINY = 1e-12
#: Better documents whose pairs the ranking loss takes at once.
_PAIRS = 256
#: Logit of what is not in a soft-max: finite, so that a row without any has a gradient.
_NEVER = -1e4


def similarities(left: Tensor, right: Tensor, metric: Metric) -> Tensor:
    """Similarity of `left` (p, d) to `right` (q, d): (p, q)."""
    return _from_products(left @ right.T, left.square().sum(1)[:, None], right.square().sum(1), metric)


def prefix_similarities(left: Tensor, right: Tensor, dims: Sequence[int], metric: Metric) -> Tensor:
    """Similarity of every prefix of `left` (p, d) to the same prefix of `right` (q, d): (w, p, q)."""
    blocks = list(zip((0, *dims), dims, strict=False))
    products = torch.stack([left[:, a:b] @ right[:, a:b].T for a, b in blocks]).cumsum(0)
    return _from_products(
        products, prefix_squares(left, dims)[:, :, None], prefix_squares(right, dims)[:, None, :], metric
    )


def prefix_squares(vectors: Tensor, dims: Sequence[int]) -> Tensor:
    """Squared length of every prefix of (n, d): (w, n)."""
    blocks = zip((0, *dims), dims, strict=False)
    return torch.stack([vectors[:, a:b].square().sum(1) for a, b in blocks]).cumsum(0)


def _from_products(products: Tensor, left: Tensor, right: Tensor, metric: Metric) -> Tensor:
    if metric == "cosine":
        # One by one: the product of two short prefixes' squares would be cut off long before either is zero.
        return products * torch.rsqrt(left.clamp_min(_TINY)) * torch.rsqrt(right.clamp_min(_TINY))
    if metric == "l2":
        return 2 * products - left - right
    return products


def similarity_change(full: Tensor, prefixes: Tensor, counted: Tensor) -> Tensor:
    """Paper, L_topk and L_pair: Σ |Sim - Sim of the prefix| over dims and counted pairs, mean over anchors.

    `full` (p, q), `prefixes` (w, p, q), `counted` (p, q) bool → ().
    """
    return ((full - prefixes).abs() * counted).sum() / len(full)


def reconstruction(original: Tensor, adapted: Tensor) -> Tensor:
    """Paper, L_rec: Σ over columns of |ê - e|, mean over rows: two (n, d) → ()."""
    return (adapted - original).abs().sum(1).mean()


def ranking(prefixes: Tensor, grades: Tensor) -> Tensor:
    """Paper, L_rank: Σ 1[y_ij > y_ik] (y_ij - y_ik) log(1 + exp(s_ik - s_ij)) over dims and pairs, mean over queries.

    `prefixes` (w, p, q) similarities of queries to documents, `grades` (p, q) graded relevance y ≥ 0 → ().
    """
    queries, better = torch.nonzero(grades > 0, as_tuple=True)  # only judged documents can be the better one of a pair
    total = prefixes.new_zeros(())
    for i, j in zip(torch.split(queries, _PAIRS), torch.split(better, _PAIRS), strict=True):
        # Taken again for the gradient: (w, pairs, q) of all judged documents would be too many to keep.
        total = total + checkpoint(_pairs, prefixes, grades, i, j, use_reentrant=False)
    return total / len(grades)


def _pairs(prefixes: Tensor, grades: Tensor, queries: Tensor, better: Tensor) -> Tensor:
    """The sum of `ranking` over some better documents: their queries and numbers, both (n,)."""
    gain = (grades[queries, better][:, None] - grades[queries]).clamp_min(0)
    gaps = prefixes[:, queries] - prefixes[:, queries, better, None]
    return (gain * functional.softplus(gaps)).sum()


def contrastive(prefixes: Tensor, grades: Tensor, temperature: float) -> Tensor:
    """Soft-max cross-entropy of a query's positives, taken together, against its negatives.

    -log(P / (P + N)) with P = Σ_j y_ij/max(y_i)·exp(s_ij/τ) over documents graded above 0 and N = Σ_k exp(s_ik/τ) over
    the others. Positives never push each other away, and a query with many need not put all of them first: finding the
    nearest ones is enough. `prefixes` (w, p, q), `grades` (p, q); mean over queries, sum over dims → (). A query
    without positives adds 0.
    """
    logits, positive = prefixes / temperature, grades > 0
    weight = (grades / grades.max(dim=1, keepdim=True).values.clamp_min(_TINY)).clamp_min(_TINY).log()
    positives = torch.logsumexp((logits + weight).masked_fill(~positive, _NEVER), dim=-1)
    negatives = torch.logsumexp(logits.masked_fill(positive, _NEVER), dim=-1)
    return (functional.softplus(negatives - positives) * positive.any(dim=1)).mean(-1).sum()
