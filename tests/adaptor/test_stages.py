"""The order of the stages, what passes from one to the next, and what may not change."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from adaptor.artefact import Adaptor, build
from adaptor.model import Linear, fold
from adaptor.pca import InitialBasis
from adaptor.rows import unit_rows
from adaptor.settings import ModelSettings
from adaptor.stages import outcome, planned_steps, stage_job, train_stages
from adaptor.training import EvalStep
from adaptor.training_job import Stage, TrainingJob
from adaptor.training_set import QueryLog
from adaptor.training_state import TrainingState
from adaptor.validation import validate, validate_dims
from tests.adaptor.test_training import DIM, DIMS, MLP, MODEL, TRAINING, job, training_set


def work(supervised: bool = False, model: ModelSettings = MODEL, **changes: int) -> TrainingJob:
    return job(data=training_set(supervised), model=model, training=TRAINING.model_copy(update=changes))


def with_log(todo: TrainingJob, queries: int = 40) -> TrainingJob:
    """Half of the held-out rows as a log, most of which trains."""
    data, held = todo.data, queries // 4
    log = QueryLog(neighbours=data.truth[held:queries, :5], held_out=data.held_out[:held], truth=data.truth[:held])
    return replace(todo, data=replace(data, corpus=np.concatenate([data.corpus, data.held_out[held:queries]]), log=log))


def fit(todo: TrainingJob, state: TrainingState | None = None) -> tuple[TrainingState, list[EvalStep]]:
    steps = list[EvalStep]()
    ended = train_stages(todo, state, lambda step: steps.append(replace(step, state=copy.deepcopy(step.state))))
    return ended, steps


def folded(todo: TrainingJob, ended: TrainingState) -> Adaptor:
    selection = outcome(ended, todo)
    about = {"input_dim": DIM, "dims": list(DIMS), "metric": "cosine", "unit_input": True, "recipe": {}, "settings": {}}
    basis = InitialBasis(np.eye(DIM, dtype=np.float32), 1.0, "cosine")  # the training set is in its basis already
    kind = "orthogonal" if selection.exact else "linear"
    return build({**about, "architecture": kind}, fold(selection.module, basis, selection.head), basis.matrix)


def _stages(steps: list[EvalStep]) -> list[Stage]:
    return list(dict.fromkeys(step.state.stage for step in steps))


def test_without_labels_all_outputs_but_the_full_one_are_learned() -> None:
    todo = work()
    ended, steps = fit(todo)
    assert _stages(steps) == [Stage.UNSUPERVISED]
    assert steps[-1].state.step == TRAINING.steps
    assert ended.best_score > ended.initial_score
    rows, adaptor = todo.data.corpus, folded(todo, ended)
    np.testing.assert_array_equal(adaptor.transform(rows, dim=DIM), unit_rows(rows))
    head = outcome(ended, todo).head
    assert head is not None
    expected = unit_rows(rows.astype(np.float64) @ head.double().numpy()[:, :4])
    np.testing.assert_allclose(adaptor.transform(rows, dim=4), expected, atol=1e-6)
    np.testing.assert_allclose(adaptor.truncate(adaptor.transform(rows, dim=DIM), dim=4), expected, atol=1e-6)


def test_dims_between_two_trained_ones_search_no_worse_than_the_narrower_one() -> None:
    todo = work(steps=300)
    ended, _ = fit(todo)
    matrix = ended.best_weights["matrix"]
    dims = tuple(range(4, DIM, 2))
    found = validate_dims(Linear(DIM, matrix), todo.data, dims, "cosine")[0].mean(axis=1)
    assert (np.diff(found) > -0.01).all()


def test_each_stage_has_its_dims_and_its_learning_rate() -> None:
    todo = replace(work(), dims=(4, 8))
    for stage, module, dims, rate in (
        (Stage.UNSUPERVISED, Linear(192), (4, 8, 192), 1e-2),
        (Stage.QUERY_LOG, Linear(768), (4, 8, 768), 2.5e-3),
        (Stage.UNSUPERVISED, Linear(6), (4, 6), 1e-2),
        (Stage.SUPERVISED, Linear(768), (4, 8), 1e-3),
    ):
        made = stage_job(todo, stage, module)
        assert made.dims == dims
        assert made.training.learning_rate == pytest.approx(rate)


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("supervised", [False, True])
def test_continued_from_any_eval_step_the_adaptor_is_the_same(log: bool, supervised: bool) -> None:
    todo = with_log(work(supervised)) if log else work(supervised)
    ended, steps = fit(todo)
    expected = folded(todo, ended)
    for step in steps:
        again, _ = fit(todo, state=copy.deepcopy(step.state))
        assert folded(todo, again).adaptor_id == expected.adaptor_id, (step.state.stage, step.state.step)
        assert outcome(again, todo).notes == outcome(ended, todo).notes


def test_labels_free_the_full_dimension_and_say_what_they_did() -> None:
    todo = work(supervised=True)
    ended, steps = fit(todo)
    assert _stages(steps) == [Stage.UNSUPERVISED, Stage.SUPERVISED]
    selection = outcome(ended, todo)
    assert isinstance(selection.module, Linear)
    assert (selection.head, selection.exact) == (None, False)
    assert not torch.equal(selection.module.matrix.detach(), torch.eye(DIM))
    assert [note.split(":")[0] for note in selection.notes] == ["neighbours", "labels"]


def test_a_log_continues_what_rows_taught_and_says_what_it_did() -> None:
    todo = with_log(work())
    ended, steps = fit(todo)
    assert _stages(steps) == [Stage.UNSUPERVISED, Stage.QUERY_LOG]
    first = next(step.state for step in steps if step.state.stage is Stage.QUERY_LOG)
    rows = [step.state for step in steps if step.state.stage is Stage.UNSUPERVISED][-1]
    assert torch.equal(first.weights["module.matrix"], rows.best_weights["matrix"])
    assert any(note.startswith("query log: ") for note in outcome(ended, todo).notes)


def test_a_stage_that_did_not_help_leaves_what_the_one_before_made() -> None:
    for todo in (with_log(work()), work(supervised=True)):
        ended, steps = fit(todo)
        rows = [step.state for step in steps if step.state.stage is Stage.UNSUPERVISED][-1]
        refused = replace(ended, alpha=0.0, best_step=0, best_weights=rows.best_weights)
        selection = outcome(refused, todo)
        assert selection.exact
        assert selection.head is not None
        assert torch.equal(selection.head, rows.best_weights["matrix"][:, : selection.head.shape[1]])
        assert "nothing of it helps" in selection.notes[1]


def test_where_no_stage_has_anything_to_do_the_start_is_kept() -> None:
    for todo in (work(steps=0), replace(work(), dims=(DIM,))):
        ended, steps = fit(todo)
        assert (ended.stage, steps) == (Stage.UNSUPERVISED, [])
        assert outcome(ended, todo).head is None


def test_the_stages_and_their_steps_are_known_beforehand() -> None:
    unsupervised, more = {Stage.UNSUPERVISED: TRAINING.steps}, TRAINING.query_steps
    assert planned_steps(work()) == planned_steps(work(model=MLP)) == unsupervised
    assert planned_steps(work(supervised=True)) == unsupervised | {Stage.SUPERVISED: more}
    assert planned_steps(with_log(work())) == unsupervised | {Stage.QUERY_LOG: more}
    assert planned_steps(replace(work(), dims=(DIM,))) == planned_steps(replace(with_log(work()), dims=(DIM,))) == {}
    assert planned_steps(replace(work(supervised=True), dims=(DIM,))) == {Stage.SUPERVISED: more}
    assert planned_steps(work(supervised=True, query_steps=0)) == unsupervised


def test_the_papers_perceptron_is_taken_as_it_is() -> None:
    todo = work(model=MLP)
    ended, _ = fit(todo)
    selection = outcome(ended, todo)
    assert (selection.head, selection.exact) == (None, False)
    assert all(torch.equal(v, ended.best_weights[k]) for k, v in selection.module.state_dict().items())


def test_eval_steps_score_the_graded_overlap() -> None:
    data = training_set()
    found = validate_dims(Linear(DIM), data, (4, 8), "cosine")[0].mean(axis=0)
    np.testing.assert_allclose(validate(Linear(DIM), data, (4, 8), "cosine", False), found)
