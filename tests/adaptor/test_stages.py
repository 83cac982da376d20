"""The order of the stages, what passes from one to the next, and what the low-dimensional head may and may not
change."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from adaptor.artefact import Adaptor, build
from adaptor.model import Linear, Orthogonal, fold
from adaptor.neighbours import top_k
from adaptor.pca import InitialBasis
from adaptor.rows import unit_rows
from adaptor.selection import select_head
from adaptor.settings import ModelSettings
from adaptor.stages import _head_job, outcome, planned_steps, train_stages
from adaptor.training import EvalStep
from adaptor.training_job import Stage, TrainingJob
from adaptor.training_state import TrainingState
from adaptor.validation import validate, validate_dims
from tests.adaptor.test_training import DIM, DIMS, MODEL, TRAINING, job, training_set

TRAINED, HEAD_COMPONENTS = 16, 24  # trained components, and what low-dimensional outputs are made of
HEAD_DIMS = (4, 8)
ROTATED = MODEL.model_copy(update={"low_dim_head": False})
LINEAR = MODEL.model_copy(update={"architecture": "linear"})


def work(supervised: bool = False, model: ModelSettings = MODEL, **changes: int) -> TrainingJob:
    return job(data=training_set(supervised), model=model, training=TRAINING.model_copy(update=changes))


def fit(todo: TrainingJob, state: TrainingState | None = None) -> tuple[TrainingState, list[EvalStep]]:
    steps = list[EvalStep]()
    ended = train_stages(todo, state, lambda step: steps.append(replace(step, state=copy.deepcopy(step.state))))
    return ended, steps


def folded(todo: TrainingJob, ended: TrainingState) -> Adaptor:
    selection = outcome(ended, todo)
    about = {"input_dim": DIM, "dims": list(DIMS), "metric": "cosine", "architecture": "orthogonal", "unit_input": True}
    basis = InitialBasis(np.eye(DIM, dtype=np.float32), 1.0, "cosine")  # the training set is in its basis already
    return build({**about, "recipe": {}, "settings": {}}, fold(selection.module, basis, selection.head), basis.matrix)


def test_without_labels_low_dimensional_outputs_are_learned_and_wide_ones_stay() -> None:
    todo = work()
    ended, steps = fit(todo)
    assert _stages(steps) == [Stage.LOW_DIM_HEAD]
    assert steps[-1].state.step == TRAINING.steps
    assert ended.best_score > ended.initial_score
    rows, adaptor = todo.data.corpus, folded(todo, ended)
    assert adaptor.head_dim == HEAD_DIMS[-1]
    for dim in (12, TRAINED, DIM):  # 12 is wider than any dim that the map was judged at
        np.testing.assert_array_equal(adaptor.transform(rows, dim=dim), unit_rows(rows[:, :dim]))
    head = outcome(ended, todo).head
    assert head is not None
    assert head.shape == (HEAD_COMPONENTS, HEAD_DIMS[-1])
    assert head[TRAINED:].abs().max() > 0.01  # it learned from coordinates beyond the block
    expected = unit_rows(rows[:, :HEAD_COMPONENTS].astype(np.float64) @ head.double().numpy()[:, :4])
    np.testing.assert_allclose(adaptor.transform(rows, dim=4), expected, atol=1e-6)
    np.testing.assert_allclose(adaptor.truncate(adaptor.transform(rows, dim=DIM), dim=4), expected, atol=1e-6)
    assert _score(todo, ended) > ended.initial_score
    energy = np.square(rows[:, :HEAD_COMPONENTS] @ head.numpy()).mean(axis=0)
    assert (np.diff(energy[:4]) <= 1e-6).all()
    assert (np.diff(energy[4:]) <= 1e-6).all()


def test_the_head_has_a_learning_rate_of_its_own() -> None:
    todo = work()
    still = replace(todo, training=TRAINING.model_copy(update={"head_learning_rate": 1e-9}))
    moved = replace(todo, training=TRAINING.model_copy(update={"learning_rate": 1e-9}))
    last = [fit(j)[1][-1].state.weights["module.matrix"] for j in (still, moved)]
    torch.testing.assert_close(last[0], torch.eye(HEAD_COMPONENTS), atol=1e-6, rtol=0)
    assert (last[1] - torch.eye(HEAD_COMPONENTS)).abs().max() > 0.01


@pytest.mark.parametrize(("dim", "trained_components", "rate"), [(384, 128, 6e-3), (24, 16, 6e-3), (1536, 512, 3e-3)])
def test_the_learning_rate_falls_with_the_root_of_the_columns(dim: int, trained_components: int, rate: float) -> None:
    data = replace(training_set(False), corpus=np.zeros((5, dim), np.float32))
    assert _head_job(job(data=data), Orthogonal(trained_components)).training.learning_rate == pytest.approx(rate)


def test_without_a_head_the_trained_components_are_rotated() -> None:
    todo = work(model=ROTATED)
    ended, steps = fit(todo)
    assert _stages(steps) == [Stage.UNSUPERVISED]
    selection = outcome(ended, todo)
    assert selection.head is None
    assert isinstance(selection.module, Orthogonal)
    assert not torch.allclose(selection.module.exact(), torch.eye(TRAINED).double(), atol=0.01)


def _stages(steps: list[EvalStep]) -> list[Stage]:
    return list(dict.fromkeys(step.state.stage for step in steps))


def _score(todo: TrainingJob, ended: TrainingState) -> float:
    best = ended.best_weights["matrix"]
    return float(validate_dims(Linear(len(best), best), todo.data, HEAD_DIMS, "cosine")[0].mean())


@pytest.mark.parametrize("queries", [0, 20])
def test_continued_from_any_eval_step_the_adaptor_is_the_same(queries: int) -> None:
    todo = work()
    if queries:
        data = todo.data
        corpus = np.concatenate([data.corpus, data.held_out[:queries]])
        todo = replace(todo, data=replace(data, corpus=corpus, query_neighbours=data.truth[:queries, :5]))
    ended, steps = fit(todo)
    expected = folded(todo, ended)
    for step in steps:
        again, _ = fit(todo, state=copy.deepcopy(step.state))
        assert folded(todo, again).adaptor_id == expected.adaptor_id, (step.state.stage, step.state.step)


def test_labels_take_the_place_of_the_head() -> None:
    todo = work(supervised=True)
    ended, steps = fit(todo)
    assert _stages(steps) == [Stage.UNSUPERVISED, Stage.SUPERVISED]
    selection = outcome(ended, todo)
    assert isinstance(selection.module, Linear)
    assert selection.head is None


def test_where_no_stage_has_anything_to_do_the_start_is_kept() -> None:
    for todo in (work(steps=0), replace(work(), dims=(TRAINED, DIM))):
        ended, steps = fit(todo)
        assert (ended.stage, steps) == (Stage.UNSUPERVISED, [])
        assert outcome(ended, todo).head is None


def test_the_stages_and_their_steps_are_known_beforehand() -> None:
    steps, labelled = TRAINING.steps, {Stage.SUPERVISED: TRAINING.supervised_steps}
    unsupervised = {Stage.UNSUPERVISED: steps}
    assert planned_steps(work()) == {Stage.LOW_DIM_HEAD: steps}
    assert planned_steps(work(model=ROTATED)) == planned_steps(work(model=LINEAR)) == unsupervised
    assert planned_steps(work(supervised=True)) == unsupervised | labelled
    assert planned_steps(replace(work(), dims=(DIM,))) == {}
    assert planned_steps(replace(work(supervised=True), dims=(DIM,))) == labelled
    assert planned_steps(replace(work(model=LINEAR), dims=(DIM,))) == unsupervised


def test_the_other_architectures_have_no_head() -> None:
    for architecture in ("linear", "mlp"):
        ended, _ = fit(work(model=MODEL.model_copy(update={"architecture": architecture, "hidden_units": 8})))
        assert ended.stage is Stage.UNSUPERVISED


def test_the_head_ends_before_the_first_dim_that_lost() -> None:
    todo = replace(work(), dims=HEAD_DIMS)
    start, (ended, _) = Orthogonal(TRAINED), fit(todo)
    broken = ended.best_weights["matrix"].clone()
    broken[:, 4:8] = 0  # eight columns tell no more than four
    selection = select_head(start, Linear(HEAD_COMPONENTS, broken), todo)
    assert selection.module is start
    assert selection.head is not None
    assert selection.head.shape == (HEAD_COMPONENTS, 4)
    assert "dim 8 lost" in selection.fallback_notes[0]
    assert "more than 4 columns stay as the start has them" in selection.fallback_notes[0]


def test_a_head_that_gains_nothing_is_left_out() -> None:
    todo = replace(work(), dims=HEAD_DIMS)
    for matrix, words in (
        (torch.eye(HEAD_COMPONENTS), "no more than chance"),
        (torch.ones(HEAD_COMPONENTS, HEAD_COMPONENTS), "more than 0 columns"),
        (torch.full((HEAD_COMPONENTS, HEAD_COMPONENTS), torch.nan), "more than 0 columns"),
    ):
        selection = select_head(Orthogonal(TRAINED), Linear(HEAD_COMPONENTS, matrix), todo)
        assert selection.head is None
        assert words in selection.fallback_notes[0]


@pytest.mark.parametrize(("graded", "plain", "kept"), [(0.1, 0.0, True), (0.0, 0.1, False)])
def test_the_graded_overlap_decides_whether_anything_was_gained(
    graded: float, plain: float, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def judged(module: Linear | Orthogonal, *_: object) -> Any:
        noise = np.random.default_rng(0).normal(scale=0.01, size=(2, 2, 100))
        return (noise - noise.mean(axis=2, keepdims=True) + np.array([graded, plain])[:, None, None]) * (
            isinstance(module, Linear)
        )

    monkeypatch.setattr("adaptor.selection.validate_dims", judged)
    selection = select_head(Orthogonal(TRAINED), Linear(HEAD_COMPONENTS), replace(work(), dims=HEAD_DIMS))
    assert (selection.head is not None) == kept


def test_a_single_held_out_row_proves_nothing() -> None:
    todo = replace(work(), dims=HEAD_DIMS)
    one = replace(todo.data, held_out=todo.data.held_out[:1], truth=todo.data.truth[:1])
    ended, _ = fit(todo)
    assert outcome(ended, replace(todo, data=one)).head is None


def test_eval_steps_score_the_graded_overlap_with_the_searched_rows() -> None:
    todo = work()
    data = replace(
        todo.data, searched=40, truth=top_k(todo.data.held_out, todo.data.corpus[:40], np.arange(40), 10, "cosine").ids
    )
    found = validate_dims(Linear(DIM), data, HEAD_DIMS, "cosine")
    graded, plain = found.mean(axis=1)
    np.testing.assert_allclose(validate(Linear(DIM), data, HEAD_DIMS, "cosine", False), graded)
    assert np.abs(graded - plain).max() > 0.05
    np.testing.assert_allclose(validate_dims(Linear(DIM), data, (DIM,), "cosine"), 1, atol=1e-9)


def test_labels_that_train_nothing_leave_the_head() -> None:
    assert planned_steps(work(supervised=True, supervised_steps=0)) == {Stage.LOW_DIM_HEAD: TRAINING.steps}
