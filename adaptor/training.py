"""The training loop of one stage, for one of any number of workers. Knows torch, not who launched it.

Every `evaluate_every` steps the first worker scores the held-out rows, keeps the best weights, decides whether to go
on, and hands the whole state to `on_eval`, which is where a checkpoint is written. A stage continued from such a state
takes the same steps as one that was never stopped: batches and learning rate are functions of the step number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

import torch
from torch import nn

from adaptor.batches import AnchorRows, QueryRows, anchor_rows, query_rows
from adaptor.model import AdaptorModule, Linear
from adaptor.objective import Objective, Trainee
from adaptor.settings import TrainingSettings
from adaptor.tensors import as_tensor
from adaptor.training_job import Stage, TrainingJob
from adaptor.training_state import TrainingState, Weights
from adaptor.validation import validate
from adaptor.weight_interpolation import interpolate


@dataclass(frozen=True)
class EvalStep:
    """The state at an eval step, the mean loss since the one before, and the held-out score: the mean graded overlap@10
    (quality.py) over trained dims, or in the supervised stage the mean nDCG@10."""

    state: TrainingState
    loss: float
    score: float


def train(module: AdaptorModule, job: TrainingJob, state: TrainingState, on_eval: Callable[[EvalStep], object]) -> None:
    """Run a stage to its end and leave the best weights in `module` (on the first worker).

    `state` is new or one that `on_eval` was given earlier; it is updated in place.
    """
    if _steps(job.training, state.stage):
        _StageTraining(module, job, state).run(on_eval)


class _StageTraining:
    """A stage at work: the trainee and its optimiser, at the step where the state stands."""

    def __init__(self, module: AdaptorModule, job: TrainingJob, state: TrainingState) -> None:
        self.job, self.state, self.dims = job, state, job.dims
        self.steps = _steps(job.training, state.stage)
        self.trainee = Trainee(module, self.dims, job.loss.temperature).to(job.worker.device)
        self.optimiser = torch.optim.Adam(self.trainee.parameters(), lr=job.training.learning_rate, fused=True)
        if state.weights:
            self._restore()

    def run(self, on_eval: Callable[[EvalStep], object]) -> None:
        """All steps that are left, then the best weights."""
        job, state, device = self.job, self.state, self.job.worker.device
        model = job.worker.wrap(self.trainee)
        objective = Objective(job.loss, job.metric)
        corpus = as_tensor(job.data.corpus, device)
        supervision = job.data.supervision if state.stage is Stage.SUPERVISED else None
        queries = None if supervision is None else as_tensor(supervision.queries, device)
        losses = torch.zeros((), device=device)
        with closing(_batches(job, state.stage, range(state.step, self.steps))) as batches:
            while True:
                if state.step % job.training.evaluate_every == 0 or state.step == self.steps:
                    on_eval(self._eval_step(float(losses)))
                    if state.finished:
                        break
                    losses.zero_()
                for group in self.optimiser.param_groups:
                    group["lr"] = learning_rate(job.training, state.step, self.steps)
                self.optimiser.zero_grad()
                loss = objective(model, corpus, queries, *next(batches))
                torch.autograd.backward(loss)
                self.optimiser.step()
                losses += loss.detach() / job.training.evaluate_every
                state.step += 1
                job.worker.on_step(state.step)
        if state.best_weights:
            self.trainee.module.load_state_dict(state.best_weights)

    def _eval_step(self, loss: float) -> EvalStep:
        state, score = self.state, self.state.best_score
        if self.job.worker.rank == 0 and not state.finished:
            score = self._score()
            state.weights = _copies(self.trainee)
            state.first_moments, state.second_moments = self._moments("exp_avg"), self._moments("exp_avg_sq")
            patience = _patience(self.job.training, state.stage)
            state.finished = state.step >= self.steps or state.step - state.best_step >= patience
            if state.finished:
                self._interpolate()
        state.finished = self.job.worker.agree(state.finished)
        return EvalStep(state, loss, score)

    def _moments(self, name: str) -> Weights:
        """A moment that Adam has of each parameter, once there was a step."""
        moments = self.optimiser.state
        return {n: moments[p][name].detach().cpu().clone() for n, p in self.trainee.named_parameters() if p in moments}

    def _restore(self) -> None:
        """Weights and moments as the state has them."""
        state = self.state
        self.trainee.load_state_dict(state.weights)
        for name, parameter in self.trainee.named_parameters():
            if name in state.first_moments:
                self.optimiser.state[parameter] = {
                    "step": torch.tensor(float(state.step), device=parameter.device),
                    "exp_avg": state.first_moments[name].clone().to(parameter.device),
                    "exp_avg_sq": state.second_moments[name].clone().to(parameter.device),
                }

    def _score(self) -> float:
        """The held-out score of now, whose weights are kept if they are the best."""
        job, state, module = self.job, self.state, self.trainee.module
        supervised = state.stage is Stage.SUPERVISED
        data = job.data.of_queries() if state.stage is Stage.QUERY_LOG else job.data
        scores = validate(module, data, self.dims, job.metric, supervised)
        score = float(scores.mean())
        if state.step == 0:
            state.initial_score = score
            state.initial_weights = _copies(module)
        # Of scores that held-out rows cannot tell apart (one standard error) the last: its learning rate is the lowest.
        doubt = float(scores.std() / math.sqrt(len(scores))) if state.step else 0.0
        if score > max(state.best_score - doubt, state.initial_score if state.step else -math.inf):
            state.best_score, state.best_step = max(score, state.best_score), state.step
            state.best_weights = _copies(module)
        return score

    def _interpolate(self) -> None:
        """The best weights become a mix of the last ones and those that the stage started from."""
        job, state, module = self.job, self.state, self.trainee.module
        if not isinstance(module, Linear):
            return  # a perceptron cannot be mixed: its best weights stand, which may be the initial ones
        initial, last = state.initial_weights["matrix"], module.matrix.detach()
        state.alpha, mixed, state.best_score = interpolate(initial, last, job, state.stage)
        state.best_step = state.step if state.alpha else 0
        state.best_weights = _copies(mixed)


def _batches(job: TrainingJob, stage: Stage, steps: range) -> Generator[tuple[AnchorRows, QueryRows | None]]:
    """The rows of each step; beside a GPU, those of the next one are drawn in a thread while a step is at work."""
    supervision = job.data.supervision if stage is Stage.SUPERVISED else None

    def draw(step: int) -> tuple[AnchorRows, QueryRows | None]:
        """What a step works on."""
        return anchor_rows(job, stage, step), None if supervision is None else query_rows(job, supervision, step)

    if job.worker.device.type == "cpu":  # the thread would take turns with the step on the worker's own core
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


def _steps(training: TrainingSettings, stage: Stage) -> int:
    return training.steps if stage is Stage.UNSUPERVISED else training.query_steps


def _patience(training: TrainingSettings, stage: Stage) -> float:
    # Labels are learned by heart, and then it is well to stop. Without them the score may lie below the initial one
    # while the rate is high (1,000,000 x 1,536: for 700 of 1,500 steps): a falling rate is followed to its end.
    return training.patience if stage is Stage.SUPERVISED or training.schedule == "constant" else math.inf


def _copies(module: nn.Module) -> Weights:
    return {name: weight.detach().cpu().clone() for name, weight in module.state_dict().items()}
