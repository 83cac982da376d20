"""The training loop of one stage, for one of any number of workers. Knows torch, not who launched it.

Every `evaluate_every` steps the first worker looks at the held-out rows, keeps the best weights, decides whether to go
on, and hands the whole state to `on_eval`, which is where a checkpoint is written. A stage continued from such a state
takes the same steps as one that was never stopped: batches and learning rate are functions of the step number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from adaptor.batches import LABELS, AnchorRows, QueryRows, World, anchor_rows, query_rows
from adaptor.model import AdaptorModule, Linear, trainable_dims
from adaptor.objective import Objective, Trainee
from adaptor.settings import LossSettings, Metric, TrainingSettings
from adaptor.tensors import as_tensor
from adaptor.training_set import TrainingSet
from adaptor.validation import validate
from adaptor.weight_interpolation import interpolate_weights

_MOMENTS = ("exp_avg", "exp_avg_sq")
_FIRST = "first.matrix"


@dataclass
class State:
    """Where a stage stands: everything that the next step depends on, as numbers and tensors."""

    stage: int
    step: int = 0
    best_score: float = -math.inf
    best_step: int = 0
    first_score: float = -math.inf
    share: float = 1.0
    """Of what labels taught, the share kept (weight interpolation.py); known when the stage with labels has
    finished."""
    finished: bool = False
    """Whether the last look ended the stage: a state that is restored then is not judged, or mixed, again."""
    notes: tuple[str, ...] = ()
    """What the stage before left to tell the user (selection.py)."""
    tensors: dict[str, Tensor] = field(default_factory=dict)

    def numbers(self) -> dict[str, Any]:
        """All but the tensors, for a JSON file."""
        return {name: value for name, value in vars(self).items() if name != "tensors"}


@dataclass(frozen=True)
class EvalStep:
    """What a look at the held-out rows found: score = mean graded overlap@10 (quality.py) over trained dims;
    with labels the mean nDCG@10."""

    state: State
    loss: float
    score: float
    finished: bool


@dataclass(frozen=True)
class Job:
    """What a stage trains on and with, the same on every worker."""

    data: TrainingSet
    loss: LossSettings
    training: TrainingSettings
    metric: Metric
    dims: tuple[int, ...]
    world: World = field(default_factory=World)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    wrap: Callable[[nn.Module], nn.Module] = lambda module: module
    agree: Callable[[bool], bool] = lambda finished: finished
    """The first worker's word on whether the stage is finished, told to all."""
    on_step: Callable[[int], object] = lambda step: None
    """Called after each step with the number of those done in this stage."""


def train(module: AdaptorModule, job: Job, state: State, on_eval: Callable[[EvalStep], None]) -> None:
    """Run a stage to its end and leave the best weights in `form` (on the first worker).

    `state` is a new State(stage) or one that `on_eval` was given earlier; it is updated in place.
    """
    training, supervised = job.training, state.stage == LABELS
    dims, steps = trainable_dims(module, job.dims), _steps(training, state.stage)
    if not dims or not steps:
        return
    trainee = Trainee(module, dims, job.loss.temperature).to(job.device)
    optimiser = torch.optim.Adam(trainee.parameters(), lr=training.learning_rate, fused=True)
    if "now.log_scale" in state.tensors:
        _restore(trainee, optimiser, state)
    model = job.wrap(trainee)
    objective = Objective(job.loss, dims, job.metric)
    corpus = as_tensor(job.data.corpus, job.device)
    queries = as_tensor(job.data.supervision.queries, job.device) if supervised and job.data.supervision else None
    running = torch.zeros((), device=job.device)
    with closing(_batches(job, state.stage, range(state.step, steps))) as batches:
        while True:
            if state.step % training.evaluate_every == 0 or state.step == steps:
                if _eval_step(trainee, optimiser, job, state, float(running), on_eval):
                    break
                running.zero_()
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(training, state.step, steps)
            optimiser.zero_grad()
            value = objective(model, corpus, queries, *next(batches))
            torch.autograd.backward(value)
            optimiser.step()
            running += value.detach() / training.evaluate_every
            state.step += 1
            job.on_step(state.step)
    _load_best(trainee, state)


def _batches(job: Job, stage: int, steps: range) -> Generator[tuple[AnchorRows, QueryRows | None]]:
    """The rows of each step; beside a GPU, those of the next one are drawn in a thread while a step is at work."""
    supervision = job.data.supervision if stage == LABELS else None

    def draw(step: int) -> tuple[AnchorRows, QueryRows | None]:
        """What a step works on."""
        rows = anchor_rows(job.data, job.loss, job.training, (stage, step), job.world)
        if supervision is None:
            return rows, None
        return rows, query_rows(job.data, supervision, job.training, (stage, step), job.world)

    if job.device.type == "cpu":  # the thread would take turns with the step on the worker's own core
        yield from map(draw, steps)
        return
    with ThreadPoolExecutor(1, thread_name_prefix="draw-ahead") as thread:
        coming = [thread.submit(draw, step) for step in steps[:1]]
        for step in steps:
            present = coming.pop().result()
            coming = [thread.submit(draw, step + 1)]
            yield present


def learning_rate(training: TrainingSettings, step: int, steps: int) -> float:
    """Learning rate of a step: constant, or falling along half a cosine to 0 at `steps`."""
    if training.schedule == "constant":
        return training.learning_rate
    return training.learning_rate * 0.5 * (1 + math.cos(math.pi * step / steps))


def _eval_step(
    trainee: Trainee,
    optimiser: torch.optim.Adam,
    job: Job,
    state: State,
    loss: float,
    on_eval: Callable[[EvalStep], None],
) -> bool:
    steps = _steps(job.training, state.stage)
    finished, score = state.finished, state.best_score if state.finished else 0.0
    if job.world.rank == 0 and not finished:
        dims = trainable_dims(trainee.module, job.dims)
        found = validate(trainee.module, job.data, dims, job.metric, state.stage == LABELS)
        score = float(found.mean())
        if state.step == 0:
            state.first_score = score
            if state.stage == LABELS and isinstance(trainee.module, Linear):
                state.tensors[_FIRST] = trainee.module.matrix.detach().cpu().clone()
        # Of looks that held-out rows cannot tell apart (one standard error) the last: its learning rate is the lowest.
        doubt = float(found.std() / math.sqrt(len(found))) if state.step else 0.0
        if score > max(state.best_score - doubt, state.first_score if state.step else -math.inf):
            state.best_score, state.best_step = max(score, state.best_score), state.step
            state.tensors.update({f"best.{k}": v.detach().cpu().clone() for k, v in trainee.state_dict().items()})
        state.tensors.update(_snapshot(trainee, optimiser))
        finished = state.step >= steps or state.step - state.best_step >= _patience(job.training, state.stage)
        state.finished = finished
        if finished and state.stage == LABELS:
            _interpolate(trainee.module, job, state)
    finished = job.agree(finished)
    on_eval(EvalStep(state, loss, score, finished))
    return finished


def _interpolate(module: AdaptorModule, job: Job, state: State) -> None:
    """The best weights become the last ones, mixed with those that the labels started from."""
    if not isinstance(module, Linear) or job.data.supervision is None:
        return  # a perceptron cannot be mixed: its best look stands, which may be the start
    mixed = Linear(len(module.matrix), module.matrix.detach())
    state.share, state.best_score = interpolate_weights(
        mixed, state.tensors[_FIRST], (job.data.corpus, job.data.supervision), job.dims, job.metric
    )
    state.best_step = state.step if state.share else 0
    state.tensors["best.module.matrix"] = mixed.matrix.detach().cpu().clone()


def _steps(training: TrainingSettings, stage: int) -> int:
    return training.supervised_steps if stage == LABELS else training.steps


def _patience(training: TrainingSettings, stage: int) -> float:
    # Labels are learned by heart, and then it is well to stop. Without them the score may lie below that of the start
    # while the rate is high (1,000,000 x 1,536: for 700 of 1,500 steps): a falling rate is followed to its end.
    return training.patience if stage == LABELS or training.schedule == "constant" else math.inf


def _snapshot(trainee: Trainee, optimiser: torch.optim.Adam) -> dict[str, Tensor]:
    kept = {f"now.{k}": v.detach().cpu().clone() for k, v in trainee.state_dict().items()}
    for name, parameter in trainee.named_parameters():
        for moment in _MOMENTS:
            if parameter in optimiser.state:
                kept[f"{moment}.{name}"] = optimiser.state[parameter][moment].detach().cpu().clone()
    return kept


def _restore(trainee: Trainee, optimiser: torch.optim.Adam, state: State) -> None:
    trainee.load_state_dict({k.removeprefix("now."): v for k, v in state.tensors.items() if k.startswith("now.")})
    if state.step:
        for name, parameter in trainee.named_parameters():
            moments = {m: state.tensors[f"{m}.{name}"].clone().to(parameter.device) for m in _MOMENTS}
            optimiser.state[parameter] = {"step": torch.tensor(float(state.step), device=parameter.device), **moments}


def _load_best(trainee: Trainee, state: State) -> None:
    best = {k.removeprefix("best."): v for k, v in state.tensors.items() if k.startswith("best.")}
    if best:
        trainee.load_state_dict(best)
