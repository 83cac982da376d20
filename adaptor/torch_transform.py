"""The same transform on a torch device: the batch path where a GPU does the product."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from adaptor.artefact import Adaptor
from adaptor.errors import InputError
from adaptor.rows import Floats
from adaptor.tensors import as_tensor


def on_device(adaptor: Adaptor, dim: int, device: str) -> Callable[[Floats], Floats]:
    """`adaptor.transform(·, dim)` as a function that computes on `device` (`cpu`, `cuda`, `cuda:1`).

    Takes float32 (n, d), gives float32 (n, dim), equal to the numpy path within 1e-5. The folded weights are copied
    to the device once. Raises InputError as `transform` does.
    """
    target = torch.device(device)
    tensors = {name: as_tensor(array, target) for name, array in adaptor.tensors.items()}
    linear = as_tensor(np.ascontiguousarray(adaptor.columns(dim)), target)
    unit = adaptor.metric == "cosine"

    @torch.inference_mode()
    def transform(vectors: Floats) -> Floats:
        """Float32 (n, d) → float32 (n, dim)."""
        if vectors.ndim != 2 or vectors.shape[1] != adaptor.input_dim:
            raise InputError(f"vectors have shape {vectors.shape}, but this adaptor takes (n, {adaptor.input_dim})")
        block = as_tensor(vectors, target)
        lengths = torch.linalg.vector_norm(block, dim=1, keepdim=True)
        if not bool(torch.isfinite(lengths).all()):
            row = int(torch.nonzero(~torch.isfinite(lengths[:, 0]))[0])
            raise InputError(f"row {row} holds NaN, infinity or overflows float32; remove it before transforming")
        if unit:
            block = _unit(block, lengths)
        short = block @ linear
        if "hidden_weight" in tensors:
            hidden = torch.relu(torch.addmm(tensors["hidden_bias"], block, tensors["hidden_weight"]))
            short += torch.addmm(tensors["output_bias"][:dim], hidden, tensors["output_weight"][:, :dim])
        if unit:
            short = _unit(short, torch.linalg.vector_norm(short, dim=1, keepdim=True))
        result: Floats = short.cpu().numpy()
        return result

    return transform


def _unit(vectors: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    return torch.where(lengths > 0, vectors / lengths, torch.zeros_like(vectors))
