"""Which rows a step works on: a function of (seed, stage, step), dealt to workers without loss or repetition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from adaptor.batches import AnchorRows, anchor_rows, query_rows
from adaptor.model import Linear
from adaptor.objective import Objective, Trainee
from adaptor.rows import Floats, Ids
from adaptor.settings import LossSettings, ModelSettings, TrainingSettings
from adaptor.training_job import Stage, TrainingJob, Worker
from adaptor.training_set import Labels, QueryLog, Supervision, TrainingSet, hold_out

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
    supervision = Supervision(
        queries=corpus[:5],
        labels=labels,
        negatives=mined,
        held_out=corpus[5:7],
        held_out_labels=labels.of(np.array([0, 1])),
    )
    return TrainingSet(
        corpus=corpus,
        anchors=50,
        neighbours=neighbours,
        held_out=corpus[:2],
        truth=neighbours[:2],
        searched=50,
        supervision=supervision,
    )


def job(
    work: TrainingSet | None = None,
    training: TrainingSettings = TRAINING,
    loss: LossSettings = LOSS,
    rank: int = 0,
    size: int = 1,
) -> TrainingJob:
    return TrainingJob(
        data=work or data(),
        model=ModelSettings(),
        loss=loss,
        training=training,
        metric="cosine",
        dims=(2, 4),
        worker=Worker(rank=rank, size=size),
    )


def of_log(work: TrainingSet, training: TrainingSettings, step: int = 0, rank: int = 0, size: int = 1) -> AnchorRows:
    return anchor_rows(job(work, training, rank=rank, size=size), Stage.QUERY_LOG, step)


def test_workers_share_a_step_exactly() -> None:
    alone = anchor_rows(job(), Stage.UNSUPERVISED, 5)
    parts = [anchor_rows(job(rank=rank, size=3), Stage.UNSUPERVISED, 5) for rank in range(3)]
    assert sorted(np.concatenate([p.anchors for p in parts])) == sorted(alone.anchors)
    assert all(np.array_equal(p.candidates, alone.candidates) for p in parts)
    assert sum(p.share for p in parts) / 3 == 1


def test_the_masks_say_what_each_pair_is() -> None:
    rows = anchor_rows(job(), Stage.UNSUPERVISED, 0)
    assert rows.neighbour_mask is not None
    assert rows.batch_mask is not None
    itself = np.zeros(rows.neighbour_mask.shape, bool)
    itself.ravel()[rows.self_pairs] = True
    for i, anchor in enumerate(rows.anchors):
        for j, candidate in enumerate(rows.candidates):
            assert itself[i, j] == (anchor == candidate)
            assert rows.neighbour_mask[i, j] == (candidate in data().neighbours[anchor])
            assert rows.batch_mask[i, j] == (candidate in rows.anchors)
    assert len(set(rows.candidates)) == len(rows.candidates)
    assert rows.candidates.min() >= 0
    assert set(rows.anchors) <= set(rows.candidates)
    assert rows.candidates.max() < 50  # documents behind the anchors belong to the queries only


def test_an_anchor_that_is_no_candidate_has_no_place_and_unused_masks_are_left_out() -> None:
    few = TRAINING.model_copy(update={"candidates": 0})
    rows = anchor_rows(job(training=few, loss=LossSettings()), Stage.UNSUPERVISED, 0)
    assert rows.neighbour_mask is rows.batch_mask is None
    places = {(i, j) for i, a in enumerate(rows.anchors) for j, c in enumerate(rows.candidates) if a == c}
    assert {divmod(int(place), len(rows.candidates)) for place in rows.self_pairs} == places
    assert 0 < len(places) < len(rows.anchors)


def test_anchors_without_labels_have_noise_whoever_works_on_them() -> None:
    work, training = data(), with_noise(0.5)
    assert anchor_rows(job(work, training), Stage.SUPERVISED, 0).noise is None
    assert anchor_rows(job(work, training), Stage.UNSUPERVISED, 0).noise is not None
    assert of_log(work, with_noise(0.0)).noise is None
    alone = of_log(work, training)
    assert alone.noise is not None
    noise_of = dict(zip(alone.anchors.tolist(), alone.noise, strict=True))
    for rank in range(3):
        part = of_log(work, training, rank=rank, size=3)
        assert part.noise is not None
        np.testing.assert_array_equal(part.noise, [noise_of[anchor] for anchor in part.anchors.tolist()])


def test_noise_has_the_spread_of_the_corpus_and_a_floor() -> None:
    work = data()
    work.corpus[:, 0] *= 5
    work.corpus[:, 3] *= 0.01
    variance = work.corpus[:50].var(axis=0)
    noise = [of_log(work, with_noise(0.5), step).noise for step in range(200)]
    many = np.concatenate([part for part in noise if part is not None])
    # The mean square of a uniform strength up to 0.5 is 0.5² / 3.
    expected = 0.5 / 3**0.5 * np.sqrt(variance + 4 * variance.mean())
    np.testing.assert_allclose(many.std(axis=0), expected, rtol=0.05)
    np.testing.assert_allclose(many.mean(axis=0) / many.std(axis=0), 0, atol=0.05)


def data_with_log(queries: int) -> tuple[TrainingSet, Ids]:
    """The set with that many queries behind its training rows, each with three neighbours that no other row has."""
    draw = np.random.default_rng(5)
    near = draw.integers(0, 50, size=(queries, 3))
    corpus = np.concatenate([data().corpus[:50], draw.normal(size=(queries, 4)).astype(np.float32)])
    log = QueryLog(neighbours=near, held_out=corpus[:0], truth=near[:0])
    return replace(data(), corpus=corpus, log=log, supervision=None), near


@pytest.mark.parametrize(("queries", "expected"), [(40, 24), (7, 7), (1, 1)])
def test_up_to_half_of_the_anchors_are_queries_of_the_log_as_they_are(queries: int, expected: int) -> None:
    work, near = data_with_log(queries)
    seen = set()
    for step in range(20):
        rows = of_log(work, with_noise(0.5).model_copy(update={"batch": 49}), step)
        logged = rows.anchors >= 50
        assert (logged.sum(), len(rows.anchors)) == (expected, 49)
        assert rows.noise is not None
        assert not rows.noise[logged].any()
        assert rows.noise[~logged].any(axis=1).all()
        assert set(near[rows.anchors[logged] - 50].ravel()) <= set(rows.candidates)
        assert rows.neighbour_mask is not None
        for anchor, mask in zip(rows.anchors, rows.neighbour_mask, strict=True):
            known = near[anchor - 50] if anchor >= 50 else work.neighbours[anchor]
            assert set(rows.candidates[mask]) == set(known) - {-1}
        seen |= set(rows.anchors[logged])
    assert len(seen) == queries


def test_queries_of_a_log_are_anchors_of_their_stage_only_and_dealt_to_workers() -> None:
    work, _ = data_with_log(40)
    training = with_noise(0.5)
    assert anchor_rows(job(work, training), Stage.UNSUPERVISED, 0).anchors.max() < 50
    alone = of_log(work, training, 3)
    parts = [of_log(work, training, 3, rank, 3) for rank in range(3)]
    assert sorted(np.concatenate([part.anchors for part in parts])) == sorted(alone.anchors)
    assert all((part.anchors >= 50).any() for part in parts)
    assert alone.candidates.max() < 50  # a query is no document of the source, whatever the terms
    assert of_log(work, with_noise(0.0), 3).noise is None


def test_the_objective_ranks_the_neighbours_of_anchors_with_noise() -> None:
    work = data()
    rows = anchor_rows(job(work, with_noise(0.7), LossSettings()), Stage.QUERY_LOG, 0)
    objective = Objective(LossSettings(), "cosine")
    trainee = Trainee(Linear(4), (2, 4), 0.05)
    assert rows.noise is not None
    noisy = np.concatenate([work.corpus, work.corpus[rows.anchors] + rows.noise])
    behind = replace(rows, anchors=np.arange(60, len(noisy)), noise=None)

    def loss(corpus: Floats, rows: AnchorRows) -> float:
        return objective(trainee, torch.from_numpy(corpus), None, rows, None).item()

    assert loss(work.corpus, rows) == pytest.approx(loss(noisy, behind), rel=1e-5)
    assert abs(loss(work.corpus, replace(rows, noise=None)) - loss(work.corpus, rows)) > 0.01


def with_noise(noise: float) -> TrainingSettings:
    return TRAINING.model_copy(update={"batch": 50, "noise": noise})


def test_every_other_step_compares_dims_between_the_trained_ones_the_same_on_all_workers() -> None:
    seen = set()
    for step in range(60):
        dims = [
            anchor_rows(job(loss=LossSettings(), rank=rank, size=2), Stage.UNSUPERVISED, step).dims for rank in (0, 1)
        ]
        assert dims[0] == dims[1]
        seen.add((step % 2, dims[0]))
    assert seen == {(0, (2, 4)), (1, (2, 3)), (1, (2, 4))}
    paper = LossSettings(listwise=0, topk=1)
    assert {anchor_rows(job(loss=paper), Stage.UNSUPERVISED, step).dims for step in range(20)} == {(2, 4)}


def test_steps_differ_and_repeat() -> None:
    first, again, other, later, seeded = (
        anchor_rows(job(training=TRAINING.model_copy(update={"seed": seed})), stage, step).anchors.tolist()
        for seed, stage, step in (
            (0, Stage.UNSUPERVISED, 3),
            (0, Stage.UNSUPERVISED, 3),
            (0, Stage.SUPERVISED, 3),
            (0, Stage.UNSUPERVISED, 4),
            (1, Stage.UNSUPERVISED, 3),
        )
    )
    assert first == again
    assert first not in (other, later, seeded)


def test_the_numbers_that_seed_the_batches_of_a_stage_stay() -> None:
    assert {stage.name: stage.value for stage in Stage} == {"UNSUPERVISED": 1, "SUPERVISED": 2, "QUERY_LOG": 3}


def test_queries_see_their_grades_and_no_positive_is_lost() -> None:
    work = data()
    assert work.supervision is not None
    labels = work.supervision.labels
    graded = {(q, d): g for q, d, g in zip(labels.queries, labels.documents, labels.grades, strict=True)}
    for rank in range(2):
        rows = query_rows(job(work, rank=rank, size=2), work.supervision, 1)
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
