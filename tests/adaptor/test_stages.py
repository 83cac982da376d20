"""The order of the stages, what passes from one to the next, and what the narrow map may and may not change."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import torch

from adaptor.artefact import Adaptor, build
from adaptor.batches import LABELS, NARROW, ROTATION
from adaptor.judging import judge_widths
from adaptor.model import Linear, Orthogonal, fold
from adaptor.rows import unit_rows
from adaptor.settings import ModelSettings
from adaptor.settling import settle_narrow
from adaptor.stages import outcome, train_stages
from adaptor.training import Job, Look, State
from tests.adaptor.test_training import DIM, MODEL, TRAINING, WIDTHS, job, training_set

LEADING, REACH = 16, 24  # what the rotation turns, and what narrow outputs are made of
NARROW_WIDTHS = (4, 8)
FITTED = TRAINING.model_copy(update={"narrow_steps": 40})


def work(supervised: bool = False, **changes: int) -> Job:
    return job(data=training_set(supervised), training=FITTED.model_copy(update=changes))


def fit(todo: Job, model: ModelSettings = MODEL, state: State | None = None) -> tuple[State, list[Look]]:
    looks = list[Look]()
    ended = train_stages(todo, model, state, lambda look: looks.append(replace(look, state=copy.deepcopy(look.state))))
    return ended, looks


def folded(todo: Job, ended: State) -> Adaptor:
    settled = outcome(ended, todo, MODEL)
    about = {"dim": DIM, "widths": list(WIDTHS), "metric": "cosine", "form": "orthogonal", "unit_input": True}
    start = np.eye(DIM, dtype=np.float32)  # the rows of the training set are started already
    return build({**about, "recipe": {}, "settings": {}}, fold(settled.form, start, 1.0, settled.narrow), start)


def test_without_labels_the_narrow_stage_follows_and_changes_narrow_outputs_only() -> None:
    todo = work()
    ended, looks = fit(todo)
    assert [s for s, _ in _stages(looks)] == [ROTATION, NARROW]
    assert ended.stage == NARROW
    assert ended.best_score > ended.first_score
    rows = todo.data.corpus
    with_map, without = folded(todo, ended), folded(*_rotation_only())
    assert with_map.narrow_width == NARROW_WIDTHS[-1]
    for width in (12, LEADING, DIM):  # 12 is wider than any width that the map was judged at
        np.testing.assert_array_equal(with_map.transform(rows, width), without.transform(rows, width))
    for width in NARROW_WIDTHS:
        assert np.abs(with_map.transform(rows, width) - without.transform(rows, width)).max() > 0.01
    narrow = outcome(ended, todo, MODEL).narrow
    assert narrow is not None
    assert narrow.shape == (REACH, NARROW_WIDTHS[-1])
    assert narrow[LEADING:].abs().max() > 0.01  # it learned from coordinates that the rotation leaves alone
    expected = unit_rows(rows[:, :REACH].astype(np.float64) @ narrow.double().numpy()[:, :4])
    np.testing.assert_allclose(with_map.transform(rows, 4), expected, atol=1e-6)
    np.testing.assert_allclose(with_map.cut(with_map.transform(rows, DIM), 4), expected, atol=1e-6)
    assert _judged(todo, ended) > ended.first_score  # the first score is the rotation's, at the same widths


def _rotation_only() -> tuple[Job, State]:
    todo = work(narrow_steps=0)
    ended, looks = fit(todo)
    assert {look.state.stage for look in looks} == {ROTATION}
    return todo, ended


def _stages(looks: list[Look]) -> list[tuple[int, int]]:
    firsts = {look.state.stage: i for i, look in reversed(list(enumerate(looks)))}
    return sorted(firsts.items(), key=lambda pair: pair[1])


def _judged(todo: Job, ended: State) -> float:
    best = ended.tensors["best.form.matrix"]
    return float(judge_widths(Linear(len(best), best), todo.data, NARROW_WIDTHS, "cosine").mean())


def test_continued_from_any_look_the_adaptor_is_the_same() -> None:
    todo = work()
    ended, looks = fit(todo)
    expected = folded(todo, ended)
    for look in looks:
        again, _ = fit(todo, state=copy.deepcopy(look.state))
        assert folded(todo, again).adaptor_id == expected.adaptor_id, (look.state.stage, look.state.step)


def test_labels_take_the_place_of_the_narrow_map() -> None:
    todo = work(supervised=True)
    ended, looks = fit(todo)
    assert [s for s, _ in _stages(looks)] == [ROTATION, LABELS]
    settled = outcome(ended, todo, MODEL)
    assert isinstance(settled.form, Linear)
    assert settled.narrow is None


def test_where_turning_gained_nothing_no_more_is_tried() -> None:
    todo = work(steps=0)
    ended, looks = fit(todo)
    assert (ended.stage, looks) == (ROTATION, [])
    settled = outcome(ended, todo, MODEL)
    assert isinstance(settled.form, Orthogonal)
    assert torch.equal(settled.form.exact(), torch.eye(LEADING).double())
    assert settled.narrow is None
    assert "kept" in settled.held_back[0]


def test_the_other_forms_have_no_narrow_map() -> None:
    for form in ("linear", "mlp"):
        ended, _ = fit(work(), MODEL.model_copy(update={"form": form, "hidden": 8}))
        assert ended.stage == ROTATION


def test_the_narrow_map_ends_before_the_first_width_that_lost() -> None:
    todo = replace(work(), widths=NARROW_WIDTHS)
    rotation = Orthogonal(LEADING, torch.eye(LEADING).double())
    broken = torch.eye(LEADING)
    broken[:, 4:8] = 0  # eight columns tell no more than four
    settled = settle_narrow(rotation, Linear(LEADING, broken), todo)
    assert settled.form is rotation
    assert settled.narrow is not None
    assert settled.narrow.shape == (LEADING, 4)
    assert "width 8 lost" in settled.held_back[0]
    broken[:, :4] = 1
    settled = settle_narrow(rotation, Linear(LEADING, broken), todo)
    assert settled.narrow is None
    assert "more than 0 columns" in settled.held_back[0]


def test_training_that_found_nothing_better_leaves_no_map() -> None:
    settled = settle_narrow(Orthogonal(LEADING, torch.eye(LEADING).double()), None, work())
    assert settled.narrow is None
    assert "no map of their own" in settled.held_back[0]
