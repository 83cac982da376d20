"""Each loss term against loops in numpy float64, for every metric and all dims at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from adaptor import losses
from adaptor.settings import Metric

DIMS = (2, 3, 7, 12)
METRICS: tuple[Metric, ...] = ("cosine", "dot", "l2")


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def similarity(a: Any, b: Any, metric: Metric) -> float:
    a, b = a.double().numpy(), b.double().numpy()
    if metric == "cosine":
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    return float(a @ b) if metric == "dot" else -float(((a - b) ** 2).sum())


def table(left: Any, right: Any, metric: Metric) -> Any:
    return np.array([[[similarity(a[:w], b[:w], metric) for b in right] for a in left] for w in DIMS])


@pytest.mark.parametrize("metric", METRICS)
def test_prefix_similarities_of_all_widths(metric: Metric) -> None:
    left, right = draw(4, 12), draw(5, 12, seed=1)
    found = losses.prefix_similarities(left, right, DIMS, metric)
    np.testing.assert_allclose(found.numpy(), table(left, right, metric), atol=2e-5)


def test_prefix_similarities_of_a_zero_prefix_are_zero_and_have_a_gradient() -> None:
    left = torch.zeros(1, 12, requires_grad=True)
    found = losses.prefix_similarities(left, draw(2, 12), DIMS, "cosine")
    found.sum().backward()  # type: ignore[no-untyped-call]
    assert found.abs().max() == 0
    assert left.grad is not None
    assert torch.isfinite(left.grad).all()


def test_similarity_change_counts_only_the_marked_pairs() -> None:
    full, prefixes = draw(3, 5), draw(2, 3, 5, seed=1)
    counted = torch.from_numpy(np.random.default_rng(2).random((3, 5)) < 0.5)
    expected = sum(
        abs(float(full[i, j]) - float(prefixes[w, i, j]))
        for w in range(2)
        for i in range(3)
        for j in range(5)
        if counted[i, j]
    )
    assert float(losses.similarity_change(full, prefixes, counted)) == pytest.approx(expected / 3, rel=1e-5)


def test_reconstruction_is_the_mean_length_of_the_change() -> None:
    a, b = draw(4, 6), draw(4, 6, seed=1)
    expected = np.abs(a.double().numpy() - b.double().numpy()).sum(1).mean()
    assert float(losses.reconstruction(a, b)) == pytest.approx(float(expected), rel=1e-6)


GRADES = torch.tensor([[2.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 1.0, 0.0]])


def test_ranking_is_the_papers_sum() -> None:
    s = draw(2, 3, 4)
    expected = 0.0
    for w in range(2):
        for i in range(3):
            for j in range(4):
                for k in range(4):
                    gain = float(GRADES[i, j] - GRADES[i, k])
                    if gain > 0:
                        expected += gain * np.log1p(np.exp(float(s[w, i, k] - s[w, i, j])))
    assert float(losses.ranking(s, GRADES)) == pytest.approx(expected / 3, rel=1e-5)


def test_contrastive_sets_the_positives_together_against_the_negatives() -> None:
    s, tau = draw(2, 3, 4) / 3, 0.05
    expected = 0.0
    for w in range(2):
        for i in (0, 2):  # the query in the middle has no positive
            odds = [np.exp(float(s[w, i, k]) / tau) for k in range(4)]
            best = float(GRADES[i].max())
            found = sum(float(GRADES[i, k]) / best * odds[k] for k in range(4))
            missed = sum(odds[k] for k in range(4) if GRADES[i, k] == 0)
            expected += -np.log(found / (found + missed))
    s.requires_grad_()
    loss = losses.contrastive(s, GRADES, tau)
    assert float(loss.detach()) == pytest.approx(expected / 3, rel=1e-4)
    loss.backward()  # type: ignore[no-untyped-call]
    assert s.grad is not None
    assert torch.isfinite(s.grad).all()
    assert s.grad[:, 1].abs().max() == 0


def test_contrastive_is_content_when_the_nearest_positive_is_found() -> None:
    near, far = torch.tensor([[[0.9, -0.5, 0.1]]]), torch.tensor([[[0.9, 0.8, 0.1]]])
    both = torch.tensor([[1.0, 1.0, 0.0]])
    assert float(losses.contrastive(near, both, 0.05)) == pytest.approx(
        float(losses.contrastive(far, both, 0.05)), abs=1e-6
    )


def test_short_prefixes_have_the_right_cosine() -> None:
    e = torch.randn(5, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    e[:, :2] *= 3e-4
    unit = e[:, :2] / e[:, :2].norm(dim=1, keepdim=True)
    found = losses.prefix_similarities(e.float(), e.float(), (2, 8), "cosine")[0]
    torch.testing.assert_close(found.double(), unit @ unit.T, atol=1e-5, rtol=0)
