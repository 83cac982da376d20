"""What each Ray Train worker runs: the stages of training, checkpoints, and the way back from a checkpoint.

A checkpoint is `state.safetensors` + `state.json`, written by the first worker when it looks at the held-out rows.
Batches and learning rate are functions of the step, so a run that continues from one takes the steps that it would have
taken.
"""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import ray.train
import ray.train.torch
import torch
from safetensors.torch import load_file, save_file

from adaptor.batches import World
from adaptor.settings import LossSettings, Metric, ModelSettings, TrainingSettings
from adaptor.stages import train_stages
from adaptor.training import EvalStep, Job, State
from adaptor.training_set import TrainingSet
from cluster.malloc_tuning import keep_freed_memory

#: Freed memory that a worker keeps for the next step.
_KEPT_BYTES = 1 << 30
#: Pause between two words on the step that training has come to, in seconds.
_STEP_SECONDS = 2.0
_TENSORS, _NUMBERS = "state.safetensors", "state.json"


@dataclass(frozen=True)
class Assignment:
    """What a worker is told. `data` refers to a TrainingSet in the object store; `progress_actor` is the actor that
    shows progress."""

    data: Any
    model: ModelSettings
    loss: LossSettings
    training: TrainingSettings
    metric: Metric
    dims: tuple[int, ...]
    threads: int
    progress_actor: Any


def run_worker(settings: dict[str, Any]) -> None:
    """Train all stages; Ray Train calls it on every worker with {"assignment": Assignment}."""
    assignment: Assignment = settings["assignment"]
    torch.set_num_threads(assignment.threads)
    keep_freed_memory(_KEPT_BYTES)
    data: TrainingSet = ray.get(assignment.data)
    context = ray.train.get_context()
    reporter = _Reporter(assignment, context.get_world_rank(), context.get_world_size())
    job = Job(
        data,
        assignment.loss,
        assignment.training,
        assignment.metric,
        assignment.dims,
        World(reporter.rank, reporter.size),
        ray.train.torch.get_device(),
        ray.train.torch.prepare_model,
        reporter.agree,
        reporter.step,
    )
    train_stages(job, assignment.model, _restored(), reporter)


def load_state(folder: Path) -> State:
    """Read a checkpoint."""
    numbers = json.loads((folder / _NUMBERS).read_text())
    return State(**numbers, tensors=load_file(folder / _TENSORS))


def _restored() -> State | None:
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        return None
    with checkpoint.as_directory() as folder:
        return load_state(Path(folder))


class _Reporter:
    """Turns looks into progress and checkpoints. All workers report equally often: the first one decides, and tells."""

    def __init__(self, assignment: Assignment, rank: int, size: int) -> None:
        self.assignment, self.rank, self.size = assignment, rank, size
        self.reported = time.monotonic()
        self.due = False
        self.shown: dict[str, Any] = {}
        self.posted = 0.0

    def agree(self, finished: bool) -> bool:
        """The first worker's word on (finished, checkpoint due), on every worker."""
        late = time.monotonic() - self.reported >= self.assignment.training.checkpoint_seconds
        word = torch.tensor([finished, finished or late], dtype=torch.uint8, device=ray.train.torch.get_device())
        if self.size > 1:
            torch.distributed.broadcast(word, src=0)
        self.due = bool(word[1])
        return bool(word[0])

    def step(self, step: int) -> None:
        """Once in a while, say that this many steps are done: looks may be hours apart."""
        if time.monotonic() - self.posted >= _STEP_SECONDS:
            self._post({**self.shown, "step": step})

    def _post(self, numbers: dict[str, Any]) -> None:
        self.shown, self.posted = numbers, time.monotonic()
        if self.rank == 0:
            self.assignment.progress_actor.post.remote(numbers)

    def __call__(self, look: EvalStep) -> None:
        """Show a look and, when due, write a checkpoint."""
        numbers = {**look.state.numbers(), "loss": look.loss, "score": look.score}
        self._post(numbers)
        if not self.due:
            return
        self.reported = time.monotonic()
        if self.rank != 0:
            ray.train.report(numbers)
            return
        with tempfile.TemporaryDirectory() as folder:
            save_file(look.state.tensors, Path(folder) / _TENSORS)
            (Path(folder) / _NUMBERS).write_text(json.dumps(look.state.numbers()))
            ray.train.report(numbers, checkpoint=ray.train.Checkpoint.from_directory(folder))
