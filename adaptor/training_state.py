"""Where a stage of training stands, and its two files: `state.safetensors` and `state.json`."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from adaptor.training_job import Stage

Weights = dict[str, Tensor]

_TENSORS, _NUMBERS = "state.safetensors", "state.json"
#: The fields that hold tensors.
_GROUPS = ("weights", "best_weights", "initial_weights", "first_moments", "second_moments")


@dataclass(kw_only=True)
class TrainingState:
    """Everything that the next step of a stage depends on. The tensors, on the CPU, are those of the last eval step."""

    stage: Stage
    step: int = 0
    best_score: float = -math.inf
    best_step: int = 0
    initial_score: float = -math.inf
    """Held-out score before the first step."""
    alpha: float = 1.0
    """Share of the trained weights in the interpolated ones (weight_interpolation.py); 1 until they are."""
    finished: bool = False
    """Whether the stage has ended: a state that is restored then is not validated, or interpolated, again."""
    notes: tuple[str, ...] = ()
    """What the stages before have to tell the user."""
    weights: Weights = field(default_factory=dict)
    """Of module and temperatures."""
    best_weights: Weights = field(default_factory=dict)
    """Of the module, at `best_step`."""
    initial_weights: Weights = field(default_factory=dict)
    """Of the module before the first step."""
    first_moments: Weights = field(default_factory=dict)
    """Adam's mean of each parameter's gradients."""
    second_moments: Weights = field(default_factory=dict)
    """Adam's mean of their squares."""

    def numbers(self) -> dict[str, Any]:
        """All but the tensors, as JSON has them."""
        plain = {name: value for name, value in vars(self).items() if name not in _GROUPS}
        return {**plain, "stage": self.stage.name}


def save_state(state: TrainingState, folder: Path) -> None:
    """Write a state into a folder."""
    tensors = {f"{group}/{name}": tensor for group in _GROUPS for name, tensor in getattr(state, group).items()}
    save_file(tensors, folder / _TENSORS)
    (folder / _NUMBERS).write_text(json.dumps(state.numbers()))


def load_state(folder: Path) -> TrainingState:
    """Read what `save_state` wrote."""
    numbers: dict[str, Any] = json.loads((folder / _NUMBERS).read_text())
    groups: dict[str, Weights] = {group: {} for group in _GROUPS}
    for path, tensor in load_file(folder / _TENSORS).items():
        group, _, name = path.partition("/")
        groups[group][name] = tensor
    numbers |= {"stage": Stage[numbers["stage"]], "notes": tuple(numbers["notes"]), **groups}
    return TrainingState(**numbers)
