"""The float32 half of the search: the same rows by heaps and by selection, and scores no further off than said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from adaptor import candidates as module
from adaptor import gpu
from adaptor.candidates import candidates, doubt
from adaptor.gpu import gpu_seen
from adaptor.settings import Metric

METRICS: tuple[Metric, ...] = ("cosine", "dot", "l2")


def draw(rows: int, dim: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=(rows, dim)).astype(np.float32)


def exact(queries: Any, vectors: Any, metric: Metric) -> Any:
    q, v = queries.astype(np.float64), vectors.astype(np.float64)
    return -((q[:, None] - v[None]) ** 2).sum(2) if metric == "l2" else q @ v.T


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("floored", [False, True])
def test_the_best_rows_of_several_blocks(metric: Metric, floored: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CPU_BLOCK", (7, 16))
    queries, vectors = draw(20, 12), draw(100, 12, seed=1)
    scores = exact(queries, vectors, metric)
    floor = np.sort(scores, axis=1)[:, -4].astype(np.float32) if floored else None
    positions, found = candidates(queries, vectors, 6, metric, floor)
    expected = np.argsort(-scores, axis=1)[:, :6]
    if floored:  # three rows score above the fourth
        assert (positions[:, 4:] == -1).all()
        assert np.isneginf(found[:, 4:]).all()
    known = 3 if floored else 6
    assert np.array_equal(positions[:, :known], expected[:, :known])
    np.testing.assert_allclose(found[:, :known], np.take_along_axis(scores, expected, 1)[:, :known], rtol=1e-5)


@pytest.mark.parametrize("rows", [1, 3, 100])
@pytest.mark.parametrize("added", [False, True])
def test_selection_takes_what_the_heaps_take(rows: int, added: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CPU_BLOCK", (8, 32))
    monkeypatch.setattr(module, "_GPU_BLOCK", (6, 23))
    queries, vectors = draw(20, 12), draw(rows, 12, seed=1)
    more = draw(rows, 1, seed=2)[:, 0] if added else None
    floor = np.full(20, -np.inf, np.float32)
    floor[::2] = 6.0
    heaps = module._by_heaps(queries, vectors, more, floor, min(5, rows))
    selected = module._by_selection(queries, vectors, more, floor, min(5, rows), "cpu")
    assert np.array_equal(heaps[0], selected[0])
    np.testing.assert_allclose(heaps[1], selected[1], atol=1e-5)
    assert (heaps[0][::2] < 0).any()
    assert (heaps[0][1::2] >= 0).all()


def test_a_gpu_is_looked_for_only_beside_a_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr(gpu, "_DRIVERS", (str(tmp_path / "a"), str(tmp_path / "b")))
    assert not gpu.gpu_seen()
    (tmp_path / "b").touch()
    assert gpu.gpu_seen()
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert not gpu.gpu_seen()


def test_selection_does_not_round_products_to_ten_bits() -> None:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")  # as images for GPUs may have it
    try:
        module._by_selection(draw(3, 4), draw(5, 4), None, np.full(3, -np.inf, np.float32), 2, "cpu")
        assert torch.get_float32_matmul_precision() == "highest"
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.gpu
@pytest.mark.skipif(not gpu_seen(), reason="needs a CUDA device")
def test_a_gpu_finds_what_the_heaps_find() -> None:
    queries, vectors = draw(300, 64), draw(5000, 64, seed=1)
    floor = np.full(300, -np.inf, np.float32)
    heaps = module._by_heaps(queries, vectors, None, floor, 20)
    selected = module._by_selection(queries, vectors, None, floor, 20)
    np.testing.assert_allclose(heaps[1], selected[1], atol=float(doubt(queries, vectors, "dot").max()))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dim", [2, 64, 1536])
def test_scores_are_as_right_as_said(metric: Metric, dim: int) -> None:
    # Every sum cancels: the hardest case for its rounding relative to the lengths.
    queries, vectors = draw(40, dim) * 3, draw(500, dim, seed=1) + 2
    positions, found = candidates(queries, vectors, 500, metric)
    gaps = np.abs(np.take_along_axis(exact(queries, vectors, metric), positions, 1) - found)
    assert (gaps.max(axis=1) <= doubt(queries, vectors, metric)).all()
