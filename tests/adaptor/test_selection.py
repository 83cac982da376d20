"""Where a map serves: everywhere it ranks no worse than plain prefixes; a dim that lost ends it, luck is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from adaptor.model import Linear
from adaptor.neighbours import top_k
from adaptor.selection import Floors, better_start, kept, select
from adaptor.training_job import TrainingJob
from adaptor.training_set import QueryLog, TrainingSet
from adaptor.validation import validate_dims
from tests.adaptor.test_training import DIM, DIMS, job, training_set

#: The training set's coordinates are turned round, so that the first ones tell the least: turning them back is better.
GOOD = torch.eye(DIM).flip(1)


def turned() -> TrainingSet:
    data = training_set()
    return replace(data, corpus=data.corpus[:, ::-1].copy(), held_out=data.held_out[:, ::-1].copy())


def work(**changes: Any) -> TrainingJob:
    return job(data=replace(turned(), **changes))


def test_a_map_that_is_better_everywhere_serves_all_but_the_full_dimension() -> None:
    selection = select(GOOD, work())
    assert selection.head is not None
    assert torch.equal(selection.head, GOOD[:, : DIM - 1])
    assert isinstance(selection.module, Linear)
    assert torch.equal(selection.module.matrix.detach(), torch.eye(DIM))
    assert (selection.exact, selection.notes) == (True, ())


def test_it_ends_just_before_the_first_dim_that_lost() -> None:
    broken = GOOD.clone()
    broken[:, 8:16] = 0  # sixteen columns tell no more than eight
    selection = select(broken, work(other_start=GOOD.numpy()))
    assert selection.head is not None
    assert selection.head.shape == (DIM, 15)
    assert "dim 16 lost" in selection.notes[0]


@pytest.mark.parametrize("matrix", [torch.eye(DIM), torch.ones(DIM, DIM), torch.full((DIM, DIM), torch.nan)])
def test_a_map_that_gains_nothing_is_left_out(matrix: Any) -> None:
    selection = select(matrix, work())
    assert selection.head is None
    assert "no more than chance" in selection.notes[0]


def test_where_the_map_gains_nothing_the_other_start_serves_the_dims_at_which_it_is_better() -> None:
    selection = select(torch.eye(DIM), work(other_start=GOOD.numpy()))
    assert selection.head is not None
    assert torch.equal(selection.head, GOOD[:, : DIM - 1])


def test_the_floor_is_the_better_of_both_starts() -> None:
    weak = GOOD.roll(2, 1)  # better than the initial basis, but for two columns that tell nothing
    alone, compared = select(weak, work()), select(weak, work(other_start=GOOD.numpy()))
    assert alone.head is not None
    assert torch.equal(alone.head[:, 2], GOOD[:, 0])
    assert compared.head is not None
    assert torch.equal(compared.head[:, 0], GOOD[:, 0])


def test_a_map_of_the_leading_coordinates_ends_with_them() -> None:
    selection = select(torch.eye(16).flip(1), work())
    assert selection.head is not None
    assert selection.head.shape == (16, 16)


def test_a_map_that_learned_from_a_log_is_judged_by_its_held_out_queries() -> None:
    data = turned()
    asked, searched = data.held_out[:, :4].copy(), data.corpus[:, :4].copy()  # all that counts for these queries
    truth = top_k(asked, searched, np.arange(len(data.corpus)), 100, "cosine").ids
    log = QueryLog(neighbours=data.truth[:1], held_out=data.held_out, truth=truth)
    assert select(GOOD, work(log=log)).head is not None
    assert select(GOOD, work(log=log), queries=True).head is None


def test_a_single_held_out_row_proves_nothing() -> None:
    data = turned()
    assert select(GOOD, work(held_out=data.held_out[:1], truth=data.truth[:1])).head is None


@pytest.mark.parametrize(
    ("graded", "plain", "hundred", "lost"),
    [
        (-0.03, 0.0, 0.0, "dim 4 lost 0.030 graded overlap@10"),
        (-0.008, 0.0, 0.0, ""),
        (0.03, -0.015, 0.0, ""),
        (0.03, -0.04, 0.0, "dim 4 lost 0.040 overlap@10"),
        (0.03, 0.0, -0.05, ""),
        (0.03, 0.0, -0.12, "dim 4 lost 0.120 overlap@100"),
    ],
)
def test_what_a_dim_may_lose_of_each_measure(graded: float, plain: float, hundred: float, lost: str) -> None:
    noise = np.random.default_rng(0).normal(scale=0.01, size=(3, 2, 400))
    noise -= noise.mean(axis=2, keepdims=True)
    scores = noise + np.array([[0.1, graded], [0.1, plain], [0.1, hundred]])[:, :, None]
    found = kept((2, 4), scores, Floors(scores * 0, scores * 0))
    assert (found.count, found.lost) == ((1, lost) if lost else (2, ""))
    assert found.gain.mean() == pytest.approx((0.1 + (0 if lost else graded)) / 2)


def test_the_better_start_is_the_one_whose_prefixes_find_more() -> None:
    plain = np.eye(DIM, dtype=np.float32)
    assert better_start((plain, GOOD.numpy()), turned(), DIMS, "cosine") == 1
    assert better_start((plain, GOOD.numpy()), training_set(), DIMS, "cosine") == 0


def test_measures_are_those_of_the_searched_rows() -> None:
    data: TrainingSet = training_set()
    graded, ten, hundred = validate_dims(Linear(DIM), data, (4, DIM), "cosine")
    for measure in (graded, ten, hundred):
        np.testing.assert_allclose(measure[1], 1, atol=1e-9)
        assert measure[0].mean() < 0.9
    scores = data.held_out[:, :4] @ data.corpus[:, :4].T
    scores /= np.linalg.norm(data.corpus[:, :4], axis=1)
    near = np.argsort(-scores, axis=1)
    for measure, k in ((ten, 10), (hundred, 100)):
        expected = [len({*a[:k]} & {*b[:k]}) / k for a, b in zip(near.tolist(), data.truth.tolist(), strict=True)]
        np.testing.assert_allclose(measure[0], expected, atol=0.11)
        assert abs(measure[0].mean() - np.mean(expected)) < 1e-3
