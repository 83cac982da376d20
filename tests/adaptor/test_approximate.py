"""Approximate neighbours: exact where every cell is looked into, near it otherwise, and never a row's own number."""

from __future__ import annotations

import numpy as np
import pytest

from adaptor.approximate import approximate_neighbours, recall
from adaptor.neighbours import top_k
from adaptor.settings import Metric


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_all_cells_give_the_true_neighbours(metric: Metric) -> None:
    vectors = np.random.default_rng(0).normal(size=(700, 12)).astype(np.float32)
    numbers = np.arange(700)
    truth = top_k(vectors, vectors, numbers, 5, metric, numbers)
    all_cells = approximate_neighbours(vectors, 5, metric, 1000)
    assert recall(all_cells.ids, truth.ids) > 0.999
    np.testing.assert_allclose(all_cells.similarities, truth.similarities, rtol=1e-4, atol=1e-5)
    few = approximate_neighbours(vectors, 5, metric, 2).ids
    assert 0.2 < recall(few, truth.ids) < 0.999
    assert not (few == numbers[:, None]).any()
    assert np.array_equal(few, approximate_neighbours(vectors, 5, metric, 2).ids)


def test_equal_rows_do_not_find_themselves() -> None:
    vectors = np.ones((300, 4), np.float32)
    found = approximate_neighbours(vectors, 3, "cosine", 1).ids
    assert found.shape == (300, 3)
    assert not (found == np.arange(300)[:, None]).any()


def test_recall_counts_true_neighbours() -> None:
    assert recall(np.array([[3, 1, -1], [7, 8, 9]]), np.array([[1, 2, 3], [9, 8, 7]])) == pytest.approx(5 / 6)
