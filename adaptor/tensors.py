"""From numpy to torch."""

from __future__ import annotations

import warnings
from typing import Any

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
