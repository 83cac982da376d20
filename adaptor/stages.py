"""The stages of a fit, one after the other, and what comes out of them.

Without labels: a free matrix of the leading coordinates, for outputs that are narrower than the trained components;
wider ones stay as the initial basis has them. With labels: a rotation of the trained components, then a free matrix of
all coordinates. Before matrices are used the held-out rows have a word (selection.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from adaptor.model import AdaptorModule, Linear, Orthogonal, head_components, new_model, trainable_dims, unconstrained
from adaptor.selection import Selection, select, select_head
from adaptor.training import EvalStep, train
from adaptor.training_job import Stage, TrainingJob
from adaptor.training_state import TrainingState

#: Coordinates (of 384) for which the low-dimensional head's learning rate was chosen.
_MEASURED_COMPONENTS = 192


def planned_steps(job: TrainingJob) -> dict[Stage, int]:
    """The stages that have something to do, in their order, and the most steps of each."""
    module, training = _new(job), job.training
    unsupervised = training.steps if trainable_dims(module, job.dims) else 0
    if job.data.supervision is not None and training.supervised_steps:
        steps = {Stage.UNSUPERVISED: unsupervised, Stage.SUPERVISED: training.supervised_steps}
    else:
        with_head = job.model.low_dim_head and isinstance(module, Orthogonal)
        steps = {Stage.LOW_DIM_HEAD if with_head else Stage.UNSUPERVISED: unsupervised}
    return {stage: most for stage, most in steps.items() if most}


def train_stages(
    job: TrainingJob, state: TrainingState | None, on_eval: Callable[[EvalStep], object] = lambda step: None
) -> TrainingState:
    """Run all stages, from the start or from a state that `on_eval` was given; the state in which they ended, which on
    the first worker holds the best weights."""
    module, planned = _new(job).to(job.worker.device), planned_steps(job)
    state = state or TrainingState(stage=next(iter(planned), Stage.UNSUPERVISED))
    if state.stage is Stage.LOW_DIM_HEAD and isinstance(module, Orthogonal):
        train(_head(job, module).to(job.worker.device), _head_job(job, module), state, on_eval)
        return state
    if state.stage is Stage.UNSUPERVISED:
        train(module, job, state, on_eval)
        if Stage.SUPERVISED not in planned:
            return state
        state = TrainingState(stage=Stage.SUPERVISED)
        if job.worker.rank == 0:
            selection = select(module, job)
            module, state.fallback_notes = selection.module, selection.fallback_notes
    # The others get the first worker's weights when training starts.
    train(unconstrained(module, job.input_dim).to(job.worker.device), job, state, on_eval)
    return state


def outcome(state: TrainingState, job: TrainingJob) -> Selection:
    """The module to use, from the best weights of the state in which the stages ended; untrained where none had
    anything to do."""
    module = _new(job)
    if not planned_steps(job):
        return Selection(module)
    if state.stage is Stage.LOW_DIM_HEAD and isinstance(module, Orthogonal):
        head = _head(job, module)
        head.load_state_dict(state.best_weights)
        return select_head(module, head, _head_job(job, module))
    module = unconstrained(module, job.input_dim) if state.stage is Stage.SUPERVISED else module
    module.load_state_dict(state.best_weights)
    selection = select(module, job)
    return replace(selection, fallback_notes=(*state.fallback_notes, *selection.fallback_notes))


def _head_job(job: TrainingJob, module: Orthogonal) -> TrainingJob:
    """The same for the low-dimensional head: its dims, and a learning rate of its own."""
    # Adam moves every entry alike: what that does to a column grows with the root of its length.
    rate = job.training.head_learning_rate * min(1.0, math.sqrt(_MEASURED_COMPONENTS / _components(job, module)))
    training = job.training.model_copy(update={"learning_rate": rate})
    return replace(job, training=training, dims=trainable_dims(module, job.dims))


def _head(job: TrainingJob, module: Orthogonal) -> Linear:
    return Linear(_components(job, module))


def _components(job: TrainingJob, module: Orthogonal) -> int:
    return head_components(module.trained_components, job.input_dim)


def _new(job: TrainingJob) -> AdaptorModule:
    return new_model(job.model, job.input_dim, job.training.seed, job.data.anchors)
