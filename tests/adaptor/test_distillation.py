"""The list-wise term and its written-out gradient, against autograd through the plain formula in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from adaptor import losses
from adaptor.distillation import distil, teacher
from adaptor.settings import Metric

METRICS: tuple[Metric, ...] = ("cosine", "dot", "l2")
DIMS = (2, 3, 7)


def draw(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def listwise(
    teacher: torch.Tensor, student: torch.Tensor, scale: torch.Tensor, hidden: torch.Tensor, temperature: float
) -> torch.Tensor:
    """The plain formula: cross-entropy between softmax(teacher / τ) (p, q) and softmax(student · scale_w) (w, p, q),
    less the teacher's entropy; mean over anchors, sum over dims: ()."""
    target = torch.softmax((teacher / temperature).masked_fill(hidden, -torch.inf), dim=-1)
    logits = (student * scale[:, None, None]).masked_fill(hidden, -torch.inf)
    match = -(target * torch.log_softmax(logits, dim=-1).masked_fill(hidden, 0.0)).sum(-1).mean(-1).sum()
    entropy = -torch.xlogy(target, target).sum(-1).mean()
    return match - len(student) * entropy


def places(hidden: torch.Tensor) -> torch.Tensor:
    """Where a mask is true, as flat numbers."""
    return hidden.flatten().nonzero()[:, 0]


def both(metric: Metric, kind: torch.dtype, **changed: torch.Tensor) -> list[tuple[torch.Tensor, ...]]:
    """(loss, gradients of anchors, candidates and scale) of the plain formula in float64, and of ours in `kind`."""
    anchors, candidates = changed.get("anchors", draw(5, 9, seed=0)), draw(8, 9, seed=1)
    full, scale = draw(5, 8, seed=2) / 10, torch.tensor([9.0, 4.0, 2.0], dtype=torch.float64)
    hidden = torch.zeros(5, 8, dtype=torch.bool)
    hidden[0, 2] = hidden[3, 7] = True
    results = []
    for plain in (True, False):
        of = torch.float64 if plain else kind
        leaves = [x.to(of).clone().requires_grad_() for x in (anchors, candidates, scale)]
        if plain:
            prefixes = losses.prefix_similarities(leaves[0], leaves[1], DIMS, metric)
            loss = listwise(full, prefixes, leaves[2], hidden, 0.05)
        else:
            lists = teacher(full.to(of), places(hidden), 0.05)
            loss = distil((leaves[0], leaves[1]), DIMS, leaves[2], lists, metric)
        torch.autograd.backward(3 * loss)
        results.append((loss.detach(), *(leaf.grad for leaf in leaves if leaf.grad is not None)))
    return results


def test_listwise_is_the_divergence_of_the_rankings() -> None:
    teacher, student = draw(3, 6, seed=0) / 5, draw(4, 3, 6, seed=1) / 5
    scale, tau = torch.tensor([20.0, 10.0, 5.0, 1.0]), 0.05
    hidden = torch.zeros(3, 6, dtype=torch.bool)
    hidden[0, 2] = hidden[2, 5] = True
    expected = 0.0
    for i in range(3):
        seen = ~hidden[i].numpy()
        t = np.exp(teacher[i].double().numpy()[seen] / tau)
        for w in range(4):
            s = np.exp(student[w, i].double().numpy()[seen] * float(scale[w]))
            expected += float((t / t.sum() * np.log((t / t.sum()) / (s / s.sum()))).sum()) / 3
    assert float(listwise(teacher, student, scale, hidden, tau)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("metric", METRICS)
def test_loss_and_gradient_are_those_of_the_plain_formula(metric: Metric) -> None:
    plain, ours = both(metric, torch.float64)
    assert len(plain) == len(ours) == 4
    for a, b in zip(plain, ours, strict=True):
        torch.testing.assert_close(b, a, rtol=1e-9, atol=1e-9)
    assert ours[1][:, 7:].abs().max() == 0  # columns behind the last dim


@pytest.mark.parametrize("metric", METRICS)
def test_in_float32(metric: Metric) -> None:
    plain, ours = both(metric, torch.float32)
    for a, b in zip(plain, ours, strict=True):
        torch.testing.assert_close(b.double(), a, rtol=1e-4, atol=1e-4)


def test_a_zero_prefix_has_a_finite_gradient() -> None:
    anchors = draw(5, 9, seed=0)
    anchors[1, :3] = 0
    plain, ours = both("cosine", torch.float32, anchors=anchors)
    for a, b in zip(plain, ours, strict=True):
        assert torch.isfinite(b).all()
        torch.testing.assert_close(b.double(), a, rtol=1e-3, atol=1e-3)


def test_the_teacher_itself_is_a_perfect_match() -> None:
    rows = draw(6, 4, seed=3).float()
    hidden = torch.eye(6, dtype=torch.bool)
    full = losses.prefix_similarities(rows, rows, (4,), "cosine")[0]
    found = distil((rows, rows), (4,), torch.tensor([20.0]), teacher(full, places(hidden), 0.05), "cosine")
    assert float(found) == pytest.approx(0, abs=1e-5)


def test_a_worker_without_anchors_adds_nothing() -> None:
    nobody, candidates = torch.zeros(0, 9, requires_grad=True), torch.randn(8, 9, requires_grad=True)
    scale, nowhere = torch.ones(3, requires_grad=True), torch.zeros(0, dtype=torch.int64)
    lists = teacher(torch.zeros(0, 8), nowhere, 0.05)
    torch.autograd.backward(distil((nobody, candidates), DIMS, scale, lists, "cosine"))
    assert candidates.grad is not None
    assert not candidates.grad.any()
