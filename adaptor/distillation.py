"""List-wise distillation at all dims in one pass, with its gradient written out. Legend as in losses.py: p anchors, q
candidates, w dims, c columns.

Written plainly (as the tests have it, on `losses.prefix_similarities`) autograd would keep and walk through a dozen
(w, p, q) tensors; here a dim is finished, gradient and all, while its (p, q) numbers are in the cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from adaptor.losses import prefix_squares
from adaptor.settings import Metric

_TINY = 1e-12
#: Logit of what is not in the list: finite, so that its product with a target of 0 is 0.
_NEVER = -1e30


@dataclass(frozen=True)
class Teacher:
    """What the lists should look like: the distribution `target` (p, q) of each anchor over the candidates, the sum ()
    of target · log target, and the places (m,) in target.view(-1) of candidates that are in no list."""

    target: Tensor
    information: Tensor
    left_out: Tensor


def teacher(full: Tensor, left_out: Tensor, temperature: float) -> Teacher:
    """Softmax of full-dimension similarities (p, q) over τ, without the places `left_out` (m,) of full.view(-1)."""
    logits = full / temperature
    logits.view(-1).index_fill_(0, left_out, _NEVER)
    target = torch.softmax(logits, dim=1)
    return Teacher(target, -_cross_entropy(target, logits, target), left_out)


def distil(pair: tuple[Tensor, Tensor], dims: Sequence[int], scale: Tensor, lists: Teacher, metric: Metric) -> Tensor:
    """Cross-entropy between the teacher's distribution and softmax(scale_w · prefix similarity) over candidates, less
    the teacher's entropy: mean over anchors, sum over dims → ().

    `pair` are the adapted anchors (p, c) and candidates (q, c), `scale` (w,) inverse temperatures.
    """
    value: Tensor = _Distillation.apply(*pair, scale, lists, tuple(dims), metric)  # type: ignore[no-untyped-call]
    return value


class _Distillation(torch.autograd.Function):
    """The loss is a number, so the gradient is known, up to a factor, when the loss is."""

    @staticmethod
    def forward(
        ctx: Any,
        left: Tensor,
        right: Tensor,
        scale: Tensor,
        lists: Teacher,
        dims: tuple[int, ...],
        metric: Metric,
    ) -> Tensor:
        """Loss () and, kept for later, its gradients."""
        lengths = prefix_squares(left, dims), prefix_squares(right, dims)
        target, loss = lists.target, len(dims) * lists.information
        products: Tensor | None = None
        slopes, pulls, d_scale = [], [], torch.empty_like(scale)
        for number, (start, stop) in enumerate(zip((0, *dims), dims, strict=False)):
            block = left[:, start:stop], right[:, start:stop].T
            products = torch.mm(*block) if products is None else torch.addmm(products, *block)
            squares = lengths[0][number], lengths[1][number]
            factor = _factor(*squares, scale[number], metric)
            logits = products * factor
            if metric == "l2":
                logits.sub_(scale[number] * squares[0][:, None]).sub_(scale[number] * squares[1])
            logits.view(-1).index_fill_(0, lists.left_out, _NEVER)
            slope = torch.softmax(logits, dim=1)
            loss += _cross_entropy(target, logits, slope)
            slope -= target  # now the loss's derivative by the logits
            logits *= slope
            by_row = logits.sum(1)
            d_scale[number] = by_row.sum() / scale[number]
            if metric == "cosine":
                pulls.append((_pull(by_row, squares[0]), _pull(logits.sum(0), squares[1])))
            elif metric == "l2":
                pulls.append((-2 * scale[number] * slope.sum(1), -2 * scale[number] * slope.sum(0)))
            slopes.append(slope.mul_(factor))  # and by the inner products
        ctx.save_for_backward(*_gradients(left, right, dims, slopes, pulls), d_scale)
        return loss / max(1, len(left))  # a worker may be left without anchors

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of anchors, candidates and scale."""
        left, right, scale = ctx.saved_tensors
        factor = grad_outputs[0] / max(1, len(left))
        return left * factor, right * factor, scale * factor, None, None, None


def _cross_entropy(target: Tensor, logits: Tensor, softmax: Tensor) -> Tensor:
    """-Σ target · log softmax(logits), all (p, q): log Σ exp from the largest logit and its share."""
    return (logits.amax(1) - softmax.amax(1).log()).sum() - torch.dot(target.view(-1), logits.view(-1))


def _factor(rows: Tensor, columns: Tensor, scale: Tensor, metric: Metric) -> Tensor:
    """What an inner product is multiplied with on its way to a logit: (p, q) or ()."""
    if metric == "cosine":
        return (scale * _inverse(rows))[:, None] * _inverse(columns)
    return 2 * scale if metric == "l2" else scale


def _pull(weighted: Tensor, squares: Tensor) -> Tensor:
    """Twice the derivative by the squared lengths of a cosine, from the sums of slope · logit."""
    return -weighted * _inverse(squares).square() * (squares > _TINY)


def _gradients(
    left: Tensor,
    right: Tensor,
    dims: tuple[int, ...],
    slopes: list[Tensor],
    pulls: list[tuple[Tensor, Tensor]],
) -> tuple[Tensor, Tensor]:
    """A column counts at its own dim and all beyond: from the last block back, slopes and pulls add up."""
    d_left, d_right = torch.zeros_like(left), torch.zeros_like(right)
    slope: Tensor | None = None
    pull = left.new_zeros(len(left)), right.new_zeros(len(right))
    for start, stop in reversed(list(zip((0, *dims), dims, strict=False))):
        slope = slopes.pop() if slope is None else slope.add_(slopes.pop())
        block = slice(start, stop)
        d_left[:, block], d_right[:, block] = slope @ right[:, block], slope.T @ left[:, block]
        if pulls:
            more = pulls.pop()
            pull = pull[0] + more[0], pull[1] + more[1]
            d_left[:, block] += pull[0][:, None] * left[:, block]
            d_right[:, block] += pull[1][:, None] * right[:, block]
    return d_left, d_right


def _inverse(squares: Tensor) -> Tensor:
    return squares.clamp_min(_TINY).rsqrt()
