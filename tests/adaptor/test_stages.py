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
from adaptor.batches import LABELS, NARROW, ROTATION
from adaptor.model import Linear, Orthogonal, fold
from adaptor.neighbours import top_k
from adaptor.rows import unit_rows
from adaptor.selection import select_head
from adaptor.settings import ModelSettings
from adaptor.stages import _narrow, outcome, stages, train_stages
from adaptor.training import EvalStep, Job, State
from adaptor.training_set import with_log
from adaptor.validation import validate, validate_dims
from tests.adaptor.test_training import DIM, DIMS, MODEL, TRAINING, job, training_set

LEADING, REACH = 16, 24  # the block, and what low-dimensional outputs are made of
NARROW_WIDTHS = (4, 8)
ROTATED = MODEL.model_copy(update={"low_dim_head": False})
LINEAR = MODEL.model_copy(update={"architecture": "linear"})


def work(supervised: bool = False, **changes: int) -> Job:
    return job(data=training_set(supervised), training=TRAINING.model_copy(update=changes))


def fit(todo: Job, model: ModelSettings = MODEL, state: State | None = None) -> tuple[State, list[EvalStep]]:
    looks = list[EvalStep]()
    ended = train_stages(todo, model, state, lambda look: looks.append(replace(look, state=copy.deepcopy(look.state))))
    return ended, looks


def folded(todo: Job, ended: State) -> Adaptor:
    selection = outcome(ended, todo, MODEL)
    about = {"input_dim": DIM, "dims": list(DIMS), "metric": "cosine", "architecture": "orthogonal", "unit_input": True}
    start = np.eye(DIM, dtype=np.float32)  # the rows of the training set are started already
    return build({**about, "recipe": {}, "settings": {}}, fold(selection.module, start, 1.0, selection.head), start)


def test_without_labels_narrow_outputs_are_learned_and_wide_ones_stay() -> None:
    todo = work()
    ended, looks = fit(todo)
    assert [s for s, _ in _stages(looks)] == [NARROW]
    assert looks[-1].state.step == TRAINING.steps
    assert ended.best_score > ended.first_score
    rows, adaptor = todo.data.corpus, folded(todo, ended)
    assert adaptor.head_dim == NARROW_WIDTHS[-1]
    for dim in (12, LEADING, DIM):  # 12 is wider than any dim that the map was judged at
        np.testing.assert_array_equal(adaptor.transform(rows, dim), unit_rows(rows[:, :dim]))
    head = outcome(ended, todo, MODEL).head
    assert head is not None
    assert head.shape == (REACH, NARROW_WIDTHS[-1])
    assert head[LEADING:].abs().max() > 0.01  # it learned from coordinates beyond the block
    expected = unit_rows(rows[:, :REACH].astype(np.float64) @ head.double().numpy()[:, :4])
    np.testing.assert_allclose(adaptor.transform(rows, 4), expected, atol=1e-6)
    np.testing.assert_allclose(adaptor.cut(adaptor.transform(rows, DIM), 4), expected, atol=1e-6)
    assert _judged(todo, ended) > ended.first_score
    energy = np.square(rows[:, :REACH] @ head.numpy()).mean(axis=0)
    assert (np.diff(energy[:4]) <= 1e-6).all()
    assert (np.diff(energy[4:]) <= 1e-6).all()


def test_the_narrow_map_has_a_learning_rate_of_its_own() -> None:
    todo = work()
    still = replace(todo, training=TRAINING.model_copy(update={"head_learning_rate": 1e-9}))
    moved = replace(todo, training=TRAINING.model_copy(update={"learning_rate": 1e-9}))
    last = [fit(j)[1][-1].state.tensors["now.module.matrix"] for j in (still, moved)]
    torch.testing.assert_close(last[0], torch.eye(REACH), atol=1e-6, rtol=0)
    assert (last[1] - torch.eye(REACH)).abs().max() > 0.01


@pytest.mark.parametrize(("dim", "trained_components", "rate"), [(384, 128, 6e-3), (24, 16, 6e-3), (1536, 512, 3e-3)])
def test_the_learning_rate_falls_with_the_root_of_the_columns(dim: int, trained_components: int, rate: float) -> None:
    data = replace(training_set(False), corpus=np.zeros((5, dim), np.float32))
    assert _narrow(job(data=data), Orthogonal(trained_components)).training.learning_rate == pytest.approx(rate)


def test_without_a_narrow_map_the_block_is_rotated() -> None:
    todo = work()
    ended, looks = fit(todo, ROTATED)
    assert [s for s, _ in _stages(looks)] == [ROTATION]
    selection = outcome(ended, todo, ROTATED)
    assert selection.head is None
    assert isinstance(selection.module, Orthogonal)
    assert not torch.allclose(selection.module.exact(), torch.eye(LEADING).double(), atol=0.01)


def _stages(looks: list[EvalStep]) -> list[tuple[int, int]]:
    firsts = {look.state.stage: i for i, look in reversed(list(enumerate(looks)))}
    return sorted(firsts.items(), key=lambda pair: pair[1])


def _judged(todo: Job, ended: State) -> float:
    best = ended.tensors["best.module.matrix"]
    return float(validate_dims(Linear(len(best), best), todo.data, NARROW_WIDTHS, "cosine")[0].mean())


@pytest.mark.parametrize("queries", [0, 20])
def test_continued_from_any_look_the_adaptor_is_the_same(queries: int) -> None:
    todo = work()
    if queries:
        data = todo.data
        todo = replace(todo, data=with_log(data, data.held_out[:queries], data.truth[:queries, :5]))
    ended, looks = fit(todo)
    expected = folded(todo, ended)
    for look in looks:
        again, _ = fit(todo, state=copy.deepcopy(look.state))
        assert folded(todo, again).adaptor_id == expected.adaptor_id, (look.state.stage, look.state.step)


def test_labels_take_the_place_of_the_narrow_map() -> None:
    todo = work(supervised=True)
    ended, looks = fit(todo)
    assert [s for s, _ in _stages(looks)] == [ROTATION, LABELS]
    selection = outcome(ended, todo, MODEL)
    assert isinstance(selection.module, Linear)
    assert selection.head is None


def test_where_no_stage_has_anything_to_do_the_start_is_kept() -> None:
    for todo in (work(steps=0), replace(work(), dims=(LEADING, DIM))):
        ended, looks = fit(todo)
        assert (ended.stage, looks) == (ROTATION, [])
        assert outcome(ended, todo, MODEL).head is None


def test_the_stages_and_their_steps_are_known_beforehand() -> None:
    steps, labelled = TRAINING.steps, {LABELS: TRAINING.supervised_steps}
    assert stages(work(), MODEL) == {NARROW: steps}
    assert stages(work(), ROTATED) == stages(work(), LINEAR) == {ROTATION: steps}
    assert stages(work(supervised=True), MODEL) == {ROTATION: steps} | labelled
    assert stages(replace(work(), dims=(DIM,)), MODEL) == {}
    assert stages(replace(work(supervised=True), dims=(DIM,)), MODEL) == labelled
    assert stages(replace(work(), dims=(DIM,)), LINEAR) == {ROTATION: steps}


def test_the_other_forms_have_no_narrow_map() -> None:
    for architecture in ("linear", "mlp"):
        ended, _ = fit(work(), MODEL.model_copy(update={"architecture": architecture, "hidden_units": 8}))
        assert ended.stage == ROTATION


def test_the_narrow_map_ends_before_the_first_width_that_lost() -> None:
    todo = replace(work(), dims=NARROW_WIDTHS)
    start, (ended, _) = Orthogonal(LEADING), fit(todo)
    broken = ended.tensors["best.module.matrix"].clone()
    broken[:, 4:8] = 0  # eight columns tell no more than four
    selection = select_head(start, Linear(REACH, broken), todo)
    assert selection.module is start
    assert selection.head is not None
    assert selection.head.shape == (REACH, 4)
    assert "dim 8 lost" in selection.fallback_notes[0]
    assert "more than 4 columns stay as the start has them" in selection.fallback_notes[0]


def test_a_narrow_map_that_gains_nothing_is_left_out() -> None:
    todo = replace(work(), dims=NARROW_WIDTHS)
    for matrix, words in (
        (torch.eye(REACH), "no more than chance"),
        (torch.ones(REACH, REACH), "more than 0 columns"),
        (torch.full((REACH, REACH), torch.nan), "more than 0 columns"),
    ):
        selection = select_head(Orthogonal(LEADING), Linear(REACH, matrix), todo)
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
    selection = select_head(Orthogonal(LEADING), Linear(REACH), replace(work(), dims=NARROW_WIDTHS))
    assert (selection.head is not None) == kept


def test_a_single_held_out_row_proves_nothing() -> None:
    todo = replace(work(), dims=NARROW_WIDTHS)
    one = replace(todo.data, held_out=todo.data.held_out[:1], truth=todo.data.truth[:1])
    ended, _ = fit(todo)
    assert outcome(ended, replace(todo, data=one), MODEL).head is None


def test_looks_judge_by_the_graded_overlap_with_the_searched_rows() -> None:
    todo = work()
    data = replace(
        todo.data, searched=40, truth=top_k(todo.data.held_out, todo.data.corpus[:40], np.arange(40), 10, "cosine").ids
    )
    found = validate_dims(Linear(DIM), data, NARROW_WIDTHS, "cosine")
    graded, plain = found.mean(axis=1)
    np.testing.assert_allclose(validate(Linear(DIM), data, NARROW_WIDTHS, "cosine", False), graded)
    assert np.abs(graded - plain).max() > 0.05
    np.testing.assert_allclose(validate_dims(Linear(DIM), data, (DIM,), "cosine"), 1, atol=1e-9)


def test_labels_that_train_nothing_leave_the_narrow_map() -> None:
    assert stages(work(supervised=True, supervised_steps=0), MODEL) == {NARROW: TRAINING.steps}
