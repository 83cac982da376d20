"""Which rows a step works on: a function of (seed, stage, step), dealt to workers without loss or repetition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from adaptor.batches import NARROW, ROTATION, AnchorRows, World, anchor_rows, query_rows
from adaptor.model import Linear
from adaptor.neighbours import Ids
from adaptor.objective import Objective, Trainee
from adaptor.rows import Floats
from adaptor.settings import LossSettings, TrainingSettings
from adaptor.training_set import Labels, Supervision, TrainingSet, hold_out, with_log

TRAINING = TrainingSettings(batch=10, candidates=15)
LOSS = LossSettings(topk=1, pairwise=1)


def data() -> TrainingSet:
    draw = np.random.default_rng(0)
    corpus = draw.normal(size=(60, 4)).astype(np.float32)
    neighbours = np.stack([draw.choice(np.delete(np.arange(50), i), 3, replace=False) for i in range(50)])
    neighbours[7, 2] = -1
    labels = Labels(
        np.array([0, 0, 1, 2, 4, 4]), np.array([3, 55, 8, 3, 59, 1]), np.array([2, 1, 1, 3, 1, 2], np.float32)
    )
    mined = draw.integers(10, 50, size=(5, 30))
    mined[3, 5:] = -1
    supervision = Supervision(corpus[:5], labels, mined, corpus[5:7], labels.of(np.array([0, 1])))
    return TrainingSet(corpus, 50, neighbours, corpus[:2], neighbours[:2], 50, supervision)


def test_workers_share_a_step_exactly() -> None:
    alone = anchor_rows(data(), LOSS, TRAINING, (1, 5), World())
    parts = [anchor_rows(data(), LOSS, TRAINING, (1, 5), World(r, 3)) for r in range(3)]
    assert sorted(np.concatenate([p.anchors for p in parts])) == sorted(alone.anchors)
    assert all(np.array_equal(p.candidates, alone.candidates) for p in parts)
    assert sum(p.share for p in parts) / 3 == 1


def test_the_masks_say_what_each_pair_is() -> None:
    rows = anchor_rows(data(), LOSS, TRAINING, (1, 0), World())
    assert rows.neighbour is not None
    assert rows.batch is not None
    itself = np.zeros(rows.neighbour.shape, bool)
    itself.ravel()[rows.itself] = True
    for i, anchor in enumerate(rows.anchors):
        for j, candidate in enumerate(rows.candidates):
            assert itself[i, j] == (anchor == candidate)
            assert rows.neighbour[i, j] == (candidate in data().neighbours[anchor])
            assert rows.batch[i, j] == (candidate in rows.anchors)
    assert len(set(rows.candidates)) == len(rows.candidates)
    assert rows.candidates.min() >= 0
    assert set(rows.anchors) <= set(rows.candidates)
    assert rows.candidates.max() < 50  # documents behind the anchors belong to the queries only


def test_an_anchor_that_is_no_candidate_has_no_place_and_unused_masks_are_left_out() -> None:
    rows = anchor_rows(data(), LossSettings(), TRAINING.model_copy(update={"candidates": 0}), (1, 0), World())
    assert rows.neighbour is rows.batch is None
    places = {(i, j) for i, a in enumerate(rows.anchors) for j, c in enumerate(rows.candidates) if a == c}
    assert {divmod(int(place), len(rows.candidates)) for place in rows.itself} == places
    assert 0 < len(places) < len(rows.anchors)


def test_anchors_of_the_narrow_map_are_shifted_whoever_works_on_them() -> None:
    work, training = data(), with_shift(0.5, 0.3)
    assert anchor_rows(work, LOSS, training, (ROTATION, 0), World()).shift is None
    assert anchor_rows(work, LOSS, with_shift(0.0, 0.0), (NARROW, 0), World()).shift is None
    alone = anchor_rows(work, LOSS, training, (NARROW, 0), World())
    assert alone.shift is not None
    of = dict(zip(alone.anchors.tolist(), alone.shift, strict=True))
    for rank in range(3):
        part = anchor_rows(work, LOSS, training, (NARROW, 0), World(rank, 3))
        assert part.shift is not None
        np.testing.assert_array_equal(part.shift, [of[anchor] for anchor in part.anchors.tolist()])


def test_noise_has_the_spread_of_the_corpus() -> None:
    work, training = data(), with_shift(0.5, 0.0)
    many = np.concatenate([_shifted(work, training, step)[1] for step in range(200)])
    # The mean square of a uniform strength up to 0.5 is 0.5² / 3.
    np.testing.assert_allclose(many.std(axis=0), 0.5 / 3**0.5 * work.corpus[:50].std(axis=0), rtol=0.05)
    np.testing.assert_allclose(many.mean(axis=0), 0, atol=0.02)


def data_with_log(queries: int) -> tuple[TrainingSet, Ids]:
    """The set with that many queries behind its rows, each with three neighbours that no other row has."""
    draw = np.random.default_rng(5)
    near = draw.integers(0, 50, size=(queries, 3))
    return with_log(replace(data(), supervision=None), draw.normal(size=(queries, 4)).astype(np.float32), near), near


@pytest.mark.parametrize(("queries", "expected"), [(40, 24), (7, 7), (1, 1)])
def test_up_to_half_of_the_narrow_maps_anchors_are_queries_as_they_are(queries: int, expected: int) -> None:
    work, near = data_with_log(queries)
    seen = set()
    for step in range(20):
        odd = with_shift(0.5, 0.3).model_copy(update={"batch": 49})
        rows = anchor_rows(work, LOSS, odd, (NARROW, step), World())
        mine = rows.anchors >= 60
        assert (mine.sum(), len(rows.anchors)) == (expected, 49)
        assert rows.shift is not None
        assert not rows.shift[mine].any()
        assert rows.shift[~mine].any(axis=1).all()
        assert set(near[rows.anchors[mine] - 60].ravel()) <= set(rows.candidates)
        assert rows.neighbour is not None
        for anchor, of in zip(rows.anchors, rows.neighbour, strict=True):
            known = near[anchor - 60] if anchor >= 60 else work.neighbours[anchor]
            assert set(rows.candidates[of]) == set(known) - {-1}
        seen |= set(rows.anchors[mine])
    assert len(seen) == queries


def test_queries_are_anchors_of_the_narrow_map_only_and_dealt_to_workers() -> None:
    work, _ = data_with_log(40)
    training = with_shift(0.5, 0.3)
    assert anchor_rows(work, LOSS, training, (ROTATION, 0), World()).anchors.max() < 50
    alone = anchor_rows(work, LOSS, training, (NARROW, 3), World())
    parts = [anchor_rows(work, LOSS, training, (NARROW, 3), World(rank, 3)) for rank in range(3)]
    assert sorted(np.concatenate([part.anchors for part in parts])) == sorted(alone.anchors)
    assert all((part.anchors >= 60).any() for part in parts)
    assert alone.candidates.max() < 50  # a query is no document of the source, whatever the terms
    assert anchor_rows(work, LOSS, with_shift(0.0, 0.0), (NARROW, 3), World()).shift is None


def test_tilted_anchors_have_a_flatter_spectrum_and_their_length_on_average() -> None:
    work = data()
    work.corpus[:, 0] *= 20
    anchors, shift = _shifted(work, with_shift(0.0, 0.5), 0)
    before, after = work.corpus[anchors], work.corpus[anchors] + shift
    assert len(anchors) == 50
    wanted = before / np.square(before).mean(axis=0) ** 0.25
    np.testing.assert_allclose(after / wanted, np.full(after.shape, (after / wanted)[0, 0]), rtol=1e-4)
    assert np.square(after).sum() == pytest.approx(np.square(before).sum(), rel=1e-4)


def test_tilt_and_noise_go_together() -> None:
    work = data()
    work.corpus[:, 0] *= 5
    both = [_shifted(work, with_shift(0.5, 0.5), step) for step in range(300)]
    tilted = dict(zip(*_shifted(work, with_shift(0.0, 0.5), 0), strict=True))
    noise = np.stack([shift - tilted[anchor] for rows in both for anchor, shift in zip(*rows, strict=True)])
    np.testing.assert_allclose(noise.std(axis=0), 0.5 / 3**0.5 * work.corpus[:50].std(axis=0), rtol=0.05)
    np.testing.assert_allclose(noise.mean(axis=0) / noise.std(axis=0), 0, atol=0.05)


def test_what_all_rows_share_is_made_smaller() -> None:
    work = data()
    work.corpus[:, 2] = 5 + 0.1 * work.corpus[:, 2]  # a large mean with a small spread
    anchors, shift = _shifted(work, with_shift(0.0, 0.5), 0)
    assert (work.corpus[anchors, 2] + shift[:, 2]).mean() < 0.95 * work.corpus[anchors, 2].mean()


def test_a_coordinate_that_is_nearly_nothing_is_not_lifted_without_end() -> None:
    work = data()
    work.corpus[:, 1] = 1e-20
    anchors, shift = _shifted(work, with_shift(0.0, 1.0), 0)
    after = work.corpus[anchors] + shift
    assert np.abs(after[:, 1]).max() < 1e-17
    assert (np.square(after).sum(axis=0) > 0.2 * np.square(work.corpus[anchors]).sum(axis=0))[[0, 2, 3]].all()
    nothing = data()
    nothing.corpus[:] = 0
    assert not _shifted(nothing, with_shift(0.7, 1.0), 0)[1].any()


def test_the_objective_ranks_the_neighbours_of_shifted_anchors() -> None:
    work = data()
    rows = anchor_rows(work, LossSettings(), with_shift(0.5, 0.3), (NARROW, 0), World())
    objective = Objective(LossSettings(), (2, 3), "cosine")
    trainee = Trainee(Linear(4), (2, 3), 0.05)
    assert rows.shift is not None
    shifted = np.concatenate([work.corpus, work.corpus[rows.anchors] + rows.shift])
    behind = replace(rows, anchors=np.arange(60, len(shifted)), shift=None)

    def loss(corpus: Floats, rows: AnchorRows) -> float:
        return objective(trainee, torch.from_numpy(corpus), None, rows, None).item()

    assert loss(work.corpus, rows) == pytest.approx(loss(shifted, behind), rel=1e-5)
    assert abs(loss(work.corpus, replace(rows, shift=None)) - loss(work.corpus, rows)) > 0.01


def with_shift(noise: float, tilt: float) -> TrainingSettings:
    return TRAINING.model_copy(update={"batch": 50, "head_noise": noise, "narrow_tilt": tilt})


def _shifted(work: TrainingSet, training: TrainingSettings, step: int) -> tuple[Ids, Floats]:
    rows = anchor_rows(work, LOSS, training, (NARROW, step), World())
    assert rows.shift is not None
    return rows.anchors, rows.shift


def test_steps_differ_and_repeat() -> None:
    first, again, other, seeded = (
        anchor_rows(data(), LOSS, TRAINING.model_copy(update={"seed": seed}), key, World()).anchors.tolist()
        for seed, key in ((0, (1, 3)), (0, (1, 3)), (0, (2, 3)), (1, (1, 3)))
    )
    assert first == again
    assert first != other
    assert first != seeded


def test_queries_see_their_grades_and_no_positive_is_lost() -> None:
    work = data()
    assert work.supervision is not None
    labels = work.supervision.labels
    graded = {(q, d): g for q, d, g in zip(labels.queries, labels.documents, labels.grades, strict=True)}
    for rank in range(2):
        rows = query_rows(work, work.supervision, TRAINING, (2, 1), World(rank, 2))
        assert rows.documents.min() >= 0
        for i, query in enumerate(rows.queries):
            for j, document in enumerate(rows.documents):
                assert rows.grades[i, j] == graded.get((query, document), 0)
            assert rows.grades[i].sum() == labels.grades[labels.queries == query].sum()


def test_held_out_rows_are_apart_and_drawn_by_the_seed() -> None:
    training, held = hold_out(1000, 0.1, 3)
    assert sorted([*training, *held]) == list(range(1000))
    assert len(held) == 100
    assert held.tolist() != sorted(held)  # random order: any first part is a sample
    assert hold_out(1000, 0.1, 3)[1].tolist() == held.tolist()
    assert hold_out(1000, 0.1, 4)[1].tolist() != held.tolist()
    assert len(hold_out(10**6, 0.5, 0)[1]) == 2000
