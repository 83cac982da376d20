"""From numpy to torch."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def as_tensor(array: NDArray[Any], device: torch.device) -> Tensor:
    """The array as a tensor on the device; on the CPU it shares memory, which may be read-only (Ray's object store
    is)."""
    with warnings.catch_warnings():
        # torch warns that writing to a read-only array is undefined; training only reads.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable", category=UserWarning)
        return torch.from_numpy(array).to(device)


def on_device(array: NDArray[Any], device: torch.device) -> Tensor:
    """A step's small array as a tensor on the device; a GPU fetches it from pinned memory while the host goes on."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor
