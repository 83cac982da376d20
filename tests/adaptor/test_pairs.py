"""Scores of chosen pairs: those of a plain float64 product, on the CPU and by torch, in any pieces."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from adaptor import pairs as module
from adaptor.gpu import gpu_seen
from adaptor.neighbours import top_k
from adaptor.pairs import score_pairs
from adaptor.settings import Metric

METRICS: tuple[Metric, ...] = ("cosine", "dot", "l2")


def draw(rows: int, dim: int, seed: int) -> Any:
    return np.random.default_rng(seed).normal(size=(rows, dim)).astype(np.float32)


def chosen(seed: int = 3) -> tuple[Any, Any, Any, Any]:
    random = np.random.default_rng(seed)
    return draw(40, 24, 0), draw(60, 24, 1), random.integers(0, 40, 500), random.integers(0, 60, 500)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("gathered", [1, 24 * 7, 1 << 20])
def test_numpy_and_torch_score_as_float64_does(metric: Metric, gathered: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CPU_GATHER", gathered)
    monkeypatch.setattr(module, "_GPU_GATHER", gathered)
    left, right, rows, picked = chosen()
    one, other = left.astype(np.float64)[rows], right.astype(np.float64)[picked]
    expected = -((one - other) ** 2).sum(1) if metric == "l2" else (one * other).sum(1)
    np.testing.assert_allclose(module._by_numpy(left, right, rows, picked, metric), expected, rtol=1e-12, atol=1e-13)
    by_torch = module._by_torch(left, right, rows, picked, metric, "cpu")
    assert by_torch.dtype == np.float64
    np.testing.assert_allclose(by_torch, expected, rtol=1e-12, atol=1e-13)


def test_only_many_pairs_go_to_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def by_torch(left: Any, right: Any, rows: Any, picked: Any, metric: Metric) -> Any:
        asked.append(len(rows))
        return np.zeros(len(rows))

    monkeypatch.setattr(module, "gpu_seen", lambda: True)
    monkeypatch.setattr(module, "_by_torch", by_torch)
    left, right, rows, picked = chosen()
    score_pairs(left, right, rows[:99], picked[:99], "dot")
    assert asked == []
    score_pairs(left, right, rows[:100], picked[:100], "dot")
    assert asked == [100]


@pytest.mark.gpu
@pytest.mark.skipif(not gpu_seen(), reason="needs a CUDA device")
@pytest.mark.parametrize("metric", METRICS)
def test_a_gpu_finds_the_neighbours_that_the_cpu_finds(metric: Metric, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, numbers = draw(3000, 96, 0), np.arange(3000)
    vectors[100:140] = vectors[7]  # ties: their order is that of their ids
    by_gpu = top_k(vectors, vectors, numbers, 10, metric, numbers)
    monkeypatch.setattr(module, "gpu_seen", lambda: False)
    monkeypatch.setattr("adaptor.candidates.gpu_seen", lambda: False)
    by_cpu = top_k(vectors, vectors, numbers, 10, metric, numbers)
    np.testing.assert_allclose(by_gpu.similarities, by_cpu.similarities, rtol=2e-7)
    assert (by_gpu.ids == by_cpu.ids).mean() > 0.9999
