"""The stages of a fit, one after the other, and what comes out of them.

Without labels: a free matrix of the leading coordinates, for outputs that are narrower than the block of trained
components; wider ones stay as the start has them. With labels: a rotation of the block of trained components, then a
free matrix of all coordinates. Before matrices are used the held-out rows have a word (selection.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from adaptor.batches import LABELS, NARROW, ROTATION
from adaptor.model import AdaptorModule, Linear, Orthogonal, head_components, new_model, trainable_dims, unconstrained
from adaptor.selection import Selection, select, select_head
from adaptor.settings import ModelSettings
from adaptor.training import EvalStep, Job, State, train

#: Coordinates (of 384) for which the low-dimensional head's learning rate was chosen.
_MEASURED_REACH = 192


def stages(job: Job, model: ModelSettings) -> dict[int, int]:
    """The stages that have something to do, in their order, and the most steps of each."""
    module, training = _new(job, model), job.training
    first = training.steps if trainable_dims(module, job.dims) else 0
    if job.data.supervision is not None and training.supervised_steps:
        steps = {ROTATION: first, LABELS: training.supervised_steps}
    else:
        steps = {NARROW if model.low_dim_head and isinstance(module, Orthogonal) else ROTATION: first}
    return {stage: most for stage, most in steps.items() if most}


def train_stages(job: Job, model: ModelSettings, state: State | None, on_eval: Callable[[EvalStep], None]) -> State:
    """Run all stages, from the start or from a state that `on_eval` was given; the state in which they ended, which on
    the first worker holds the best weights."""
    module, todo = _new(job, model).to(job.device), stages(job, model)
    state = state or State(next(iter(todo), ROTATION))
    if state.stage == NARROW and isinstance(module, Orthogonal):
        train(_head(job, module).to(job.device), _narrow(job, module), state, on_eval)
        return state
    if state.stage == ROTATION:
        train(module, job, state, on_eval)
        if LABELS not in todo:
            return state
        state = State(LABELS)
        if job.world.rank == 0:
            selection = select(module, job.data, job.dims, job.metric)
            module, state.notes = selection.module, selection.fallback_notes
    # The others get the first worker's weights when training starts.
    train(unconstrained(module, job.data.corpus.shape[1]).to(job.device), job, state, on_eval)
    return state


def outcome(state: State, job: Job, model: ModelSettings) -> Selection:
    """The module to use, from the best weights of the state in which the stages ended."""
    best = {k.removeprefix("best.module."): v for k, v in state.tensors.items() if k.startswith("best.module.")}
    module = _new(job, model)
    if state.stage == NARROW and isinstance(module, Orthogonal):
        head = _head(job, module)
        head.load_state_dict(best)
        return select_head(module, head, _narrow(job, module))
    module = unconstrained(module, job.data.corpus.shape[1]) if state.stage == LABELS else module
    if best:
        module.load_state_dict(best)
    selection = select(module, job.data, job.dims, job.metric)
    return replace(selection, fallback_notes=(*state.notes, *selection.fallback_notes))


def _narrow(job: Job, module: Orthogonal) -> Job:
    # Adam moves every entry alike: what that does to a column grows with the root of its length.
    rate = job.training.head_learning_rate * min(1.0, math.sqrt(_MEASURED_REACH / _reach(job, module)))
    training = job.training.model_copy(update={"learning_rate": rate})
    return replace(job, training=training, dims=trainable_dims(module, job.dims))


def _head(job: Job, module: Orthogonal) -> Linear:
    return Linear(_reach(job, module))


def _reach(job: Job, module: Orthogonal) -> int:
    return head_components(module.trained_components, job.data.corpus.shape[1])


def _new(job: Job, model: ModelSettings) -> AdaptorModule:
    return new_model(model, job.data.corpus.shape[1], job.training.seed, job.data.anchors)
