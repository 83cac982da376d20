"""The stages of a fit, one after the other, and what comes out of them.

First a free matrix of the leading coordinates learns from the neighbours of rows, then from those of queries or from
labels, where there are any. Each stage starts from what the one before left, and as much of it is kept as what is held
out speaks for (weight_interpolation.py). At the end that decides where plain prefixes serve (selection.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from adaptor.model import AdaptorModule, Linear, new_model, of_all_coordinates
from adaptor.selection import Selection, select
from adaptor.training import EvalStep, train
from adaptor.training_job import Stage, TrainingJob
from adaptor.training_state import TrainingState

#: Coordinates for which the learning rate was chosen.
_MEASURED_COMPONENTS = 192
#: Learning rate of the stage of a query log, as a share: it goes on from what rows have taught.
_LOG_RATE = 0.5


def planned_steps(job: TrainingJob) -> dict[Stage, int]:
    """The stages that have something to do, in their order, and the most steps of each."""
    training = job.training
    linear = isinstance(_new(job), Linear)
    # Without labels a matrix changes no full-dimension score.
    steps = {} if linear and job.dims[0] == job.input_dim else {Stage.UNSUPERVISED: training.steps}
    if job.data.supervision is not None:
        steps[Stage.SUPERVISED] = training.query_steps
    elif job.data.log is not None and steps:
        steps[Stage.QUERY_LOG] = training.query_steps
    return {stage: most for stage, most in steps.items() if most}


def train_stages(
    job: TrainingJob, state: TrainingState | None, on_eval: Callable[[EvalStep], object] = lambda step: None
) -> TrainingState:
    """Run all stages, from the start or from a state that `on_eval` was given; the state in which they ended, which on
    the first worker holds the best weights."""
    module, stages = _new(job), list(planned_steps(job))
    state = state or TrainingState(stage=stages[0] if stages else Stage.UNSUPERVISED)
    for stage in stages[stages.index(state.stage) :] if stages else []:
        if state.stage is not stage:
            state = TrainingState(stage=stage, notes=(*state.notes, *what_came_of(state)))
        if stage is Stage.SUPERVISED:
            module = of_all_coordinates(module, job.input_dim)
        # The others get the first worker's weights when training starts.
        train(module.to(job.worker.device), stage_job(job, stage, module), state, on_eval)
    return state


def outcome(state: TrainingState, job: TrainingJob) -> Selection:
    """The module to use, from the best weights of the state in which the stages ended; untrained where none had
    anything to do."""
    module, planned = _new(job), planned_steps(job)
    if isinstance(module, Linear):
        if not planned:
            return Selection(Linear(job.input_dim), exact=True)
        matrix = state.best_weights["matrix"]
        if state.stage is Stage.SUPERVISED and state.alpha:
            return Selection(Linear(job.input_dim, matrix), (*state.notes, *what_came_of(state)))
        selection = select(matrix, job, queries=state.stage is Stage.QUERY_LOG and state.alpha > 0)
        return replace(selection, notes=(*state.notes, *what_came_of(state), *selection.notes))
    if planned:
        module.load_state_dict(state.best_weights)
    return Selection(module, what_came_of(state))


def what_came_of(state: TrainingState) -> tuple[str, ...]:
    """How much of what a stage taught is kept, in words."""
    before, after = f"{state.initial_score:.3f}", f"{state.best_score:.3f}"
    of, measure = {
        Stage.UNSUPERVISED: ("neighbours", "graded overlap@10 of held-out rows"),
        Stage.QUERY_LOG: ("query log", "graded overlap@10 of held-out queries"),
        Stage.SUPERVISED: ("labels", "nDCG@10 of held-out queries"),
    }[state.stage]
    if state.best_step:
        return (f"{of}: {measure} over all dims {before} → {after}; {state.alpha:.0%} of what they taught is kept",)
    if state.stage is Stage.UNSUPERVISED:
        return ()  # the selection says it
    return (f"{of}: nothing of it helps ({measure} {before} over all dims without it): it is left out",)


def stage_job(job: TrainingJob, stage: Stage, module: AdaptorModule) -> TrainingJob:
    """The same for one stage: its dims and its learning rate."""
    if not isinstance(module, Linear):
        return job
    if stage is Stage.SUPERVISED:
        rate = job.training.supervised_learning_rate
        return replace(job, training=job.training.model_copy(update={"learning_rate": rate}))
    components = len(module.matrix)
    # Adam moves every entry alike: what that does to a column grows with the root of its length.
    rate = job.training.learning_rate * min(1.0, math.sqrt(_MEASURED_COMPONENTS / components))
    if stage is Stage.QUERY_LOG:
        rate *= _LOG_RATE
    training = job.training.model_copy(update={"learning_rate": rate})
    # All of its columns take part: outputs between the widest trained dim and the full one are made of them.
    dims = (*(dim for dim in job.dims if dim < components), components)
    return replace(job, training=training, dims=dims)


def _new(job: TrainingJob) -> AdaptorModule:
    return new_model(job.model, job.input_dim, job.training.seed, job.data.anchors)
