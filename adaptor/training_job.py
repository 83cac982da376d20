"""What a fit trains on and how, the stages that it goes through, and one worker among several."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

import torch
from torch import nn

from adaptor.settings import LossSettings, Metric, ModelSettings, TrainingSettings
from adaptor.training_set import TrainingSet


class Stage(Enum):
    """A stage of training. Its value is part of the seed of its batches: another one would give other adaptors."""

    UNSUPERVISED = 1
    """The whole module learns from the neighbours of documents."""
    SUPERVISED = 2
    """It learns from labels as well."""
    QUERY_LOG = 3
    """It learns from the neighbours of queries as well."""

    def __str__(self) -> str:
        return self.name.lower().replace("_", "-")


@dataclass(frozen=True, kw_only=True)
class Worker:
    """This worker's `rank` among `size`, its device, and how the workers act as one."""

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    wrap: Callable[[nn.Module], nn.Module] = lambda module: module
    """Makes the module of a worker one that averages its gradients over all."""
    agree: Callable[[bool], bool] = lambda finished: finished
    """The first worker's word on whether the stage is finished, told to all."""
    on_step: Callable[[int], object] = lambda step: None
    """Called after each step with the number of those done in this stage."""


@dataclass(frozen=True, kw_only=True)
class TrainingJob:
    """What all stages of a fit train on and with; the same on every worker, but for `worker`."""

    data: TrainingSet
    model: ModelSettings
    loss: LossSettings
    training: TrainingSettings
    metric: Metric
    dims: tuple[int, ...]
    worker: Worker = field(default_factory=Worker)

    @property
    def input_dim(self) -> int:
        """Dimension d of the training vectors."""
        return int(self.data.corpus.shape[1])
