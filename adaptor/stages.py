"""The stages of a fit, one after the other, and what comes out of them.

Without labels: a free matrix of the leading coordinates, for outputs that are narrower than the leading block; wider
ones stay as the start has them.
With labels: a rotation of the leading block, then a free matrix of all coordinates. Before matrices are used the
held-out rows have a word (settling.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from adaptor.batches import LABELS, NARROW, ROTATION
from adaptor.model import Form, Linear, Orthogonal, free_widths, freed, narrow_reach, new_form
from adaptor.selection import Settled, settle, settle_narrow
from adaptor.settings import ModelSettings
from adaptor.training import Job, Look, State, train

#: Coordinates (of 384) for which the narrow map's learning rate was chosen.
_MEASURED_REACH = 192


def stages(job: Job, model: ModelSettings) -> dict[int, int]:
    """The stages that have something to do, in their order, and the most steps of each."""
    form, training = _new(job, model), job.training
    first = training.steps if free_widths(form, job.widths) else 0
    if job.data.supervision is not None and training.supervised_steps:
        steps = {ROTATION: first, LABELS: training.supervised_steps}
    else:
        steps = {NARROW if model.narrow and isinstance(form, Orthogonal) else ROTATION: first}
    return {stage: most for stage, most in steps.items() if most}


def train_stages(job: Job, model: ModelSettings, state: State | None, on_look: Callable[[Look], None]) -> State:
    """Run all stages, from the start or from a state that `on_look` was given; the state in which they ended, which on
    the first worker holds the best weights."""
    form, todo = _new(job, model).to(job.device), stages(job, model)
    state = state or State(next(iter(todo), ROTATION))
    if state.stage == NARROW and isinstance(form, Orthogonal):
        train(_head(job, form).to(job.device), _narrow(job, form), state, on_look)
        return state
    if state.stage == ROTATION:
        train(form, job, state, on_look)
        if LABELS not in todo:
            return state
        state = State(LABELS)
        if job.world.rank == 0:
            settled = settle(form, job.data, job.widths, job.metric)
            form, state.notes = settled.form, settled.held_back
    # The others get the first worker's weights when training starts.
    train(freed(form, job.data.corpus.shape[1]).to(job.device), job, state, on_look)
    return state


def outcome(state: State, job: Job, model: ModelSettings) -> Settled:
    """The form to use, from the best weights of the state in which the stages ended."""
    best = {k.removeprefix("best.form."): v for k, v in state.tensors.items() if k.startswith("best.form.")}
    form = _new(job, model)
    if state.stage == NARROW and isinstance(form, Orthogonal):
        head = _head(job, form)
        head.load_state_dict(best)
        return settle_narrow(form, head, _narrow(job, form))
    form = freed(form, job.data.corpus.shape[1]) if state.stage == LABELS else form
    if best:
        form.load_state_dict(best)
    settled = settle(form, job.data, job.widths, job.metric)
    return replace(settled, held_back=(*state.notes, *settled.held_back))


def _narrow(job: Job, form: Orthogonal) -> Job:
    # Adam moves every entry alike: what that does to a column grows with the root of its length.
    rate = job.training.narrow_learning_rate * min(1.0, math.sqrt(_MEASURED_REACH / _reach(job, form)))
    training = job.training.model_copy(update={"learning_rate": rate})
    return replace(job, training=training, widths=free_widths(form, job.widths))


def _head(job: Job, form: Orthogonal) -> Linear:
    return Linear(_reach(job, form))


def _reach(job: Job, form: Orthogonal) -> int:
    return narrow_reach(form.leading, job.data.corpus.shape[1])


def _new(job: Job, model: ModelSettings) -> Form:
    return new_form(model, job.data.corpus.shape[1], job.training.seed, job.data.anchors)
