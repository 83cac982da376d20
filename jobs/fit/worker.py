"""What each Ray Train worker runs: the stages of training, checkpoints, and the way back from a checkpoint.

A checkpoint is the state of training, written by the first worker at an eval step. Batches and learning rate are
functions of the step, so a run that continues from one takes the steps that it would have taken.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import ray
import ray.train
import ray.train.torch
import torch

from adaptor.stages import planned_steps, train_stages
from adaptor.training import EvalStep
from adaptor.training_job import Stage, TrainingJob, Worker
from adaptor.training_state import TrainingState, load_state, save_state
from cluster.malloc_tuning import keep_freed_memory
from jobs.fit.progress_actor import TrainingProgress

#: Freed memory that a worker keeps for the next step.
_KEPT_BYTES = 1 << 30
#: Pause between two words on the step that training has come to, in seconds.
_STEP_SECONDS = 2.0


@dataclass(frozen=True)
class Assignment:
    """What a worker is given: the reference to a TrainingJob in the object store, the threads that it may use, and the
    actor that shows progress."""

    job: Any
    threads: int
    progress_actor: Any


def run_worker(settings: dict[str, Any]) -> None:
    """Train all stages; Ray Train calls it on every worker with {"assignment": Assignment}."""
    assignment: Assignment = settings["assignment"]
    torch.set_num_threads(assignment.threads)
    keep_freed_memory(_KEPT_BYTES)
    job: TrainingJob = ray.get(assignment.job)
    context = ray.train.get_context()
    reporter = Reporter(job, assignment.progress_actor, context.get_world_rank(), context.get_world_size())
    worker = Worker(
        rank=reporter.rank,
        size=reporter.size,
        device=ray.train.torch.get_device(),
        wrap=ray.train.torch.prepare_model,
        agree=reporter.agree,
        on_step=reporter.step,
    )
    train_stages(replace(job, worker=worker), _restored(), reporter)


def _restored() -> TrainingState | None:
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        return None
    with checkpoint.as_directory() as folder:
        return load_state(Path(folder))


@dataclass
class Reporter:
    """Turns eval steps into progress and checkpoints. All workers report equally often: the first one decides when, and
    tells the others."""

    job: TrainingJob
    progress_actor: Any
    rank: int
    size: int
    _progress: TrainingProgress | None = None
    _posted: float = 0.0
    _earlier_steps: int = 0
    _due: bool = False
    _reported: float = field(default_factory=time.monotonic)

    def agree(self, finished: bool) -> bool:
        """The first worker's word on (finished, checkpoint due), on every worker."""
        late = time.monotonic() - self._reported >= self.job.training.checkpoint_seconds
        word = torch.tensor([finished, finished or late], dtype=torch.uint8, device=ray.train.torch.get_device())
        if self.size > 1:
            torch.distributed.broadcast(word, src=0)
        self._due = bool(word[1])
        return bool(word[0])

    def step(self, step: int) -> None:
        """Once in a while, say that this many steps are done: eval steps may be hours apart."""
        if self._progress is not None and time.monotonic() - self._posted >= _STEP_SECONDS:
            self._post(replace(self._progress, steps=self._earlier_steps + step))

    def _post(self, progress: TrainingProgress) -> None:
        self._progress, self._posted = progress, time.monotonic()
        if self.rank == 0:
            self.progress_actor.post.remote(progress)

    def __call__(self, evaluated: EvalStep) -> None:
        """Show an eval step and, when due, write a checkpoint."""
        state = evaluated.state
        if state.stage is Stage.SUPERVISED:
            self._earlier_steps = planned_steps(self.job).get(Stage.UNSUPERVISED, 0)
        self._post(
            TrainingProgress(
                steps=self._earlier_steps + state.step,
                stage=str(state.stage),
                loss=evaluated.loss if state.step else None,
                score=evaluated.score,
                best_score=state.best_score,
            )
        )
        if not self._due:
            return
        self._reported = time.monotonic()
        if self.rank != 0:
            ray.train.report({})
            return
        with tempfile.TemporaryDirectory() as folder:
            save_state(state, Path(folder))
            ray.train.report({"step": state.step}, checkpoint=ray.train.Checkpoint.from_directory(folder))
