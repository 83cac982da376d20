"""The same transform on a torch device: the batch path where a GPU does the product."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from adaptor.errors import InputError
from adaptor.projection import Projection
from adaptor.rows import Floats
from adaptor.tensors import as_tensor


def on_device(projection: Projection, device: str) -> Callable[[Floats], Floats]:
    """`projection.transform_rows` as a function that computes on `device` (`cpu`, `cuda`, `cuda:1`).

    Takes float32 (n, d), gives float32 (n, m), equal to the numpy path within 1e-5. The folded weights are copied
    to the device once. Raises InputError as `transform` does.
    """
    target = torch.device(device)
    columns, unit = as_tensor(np.ascontiguousarray(projection.columns), target), projection.metric == "cosine"
    perceptron = projection.perceptron and {
        name: as_tensor(np.ascontiguousarray(array), target) for name, array in vars(projection.perceptron).items()
    }

    @torch.inference_mode()
    def transform(vectors: Floats) -> Floats:
        """Float32 (n, d) → float32 (n, m)."""
        if vectors.ndim != 2 or vectors.shape[1] != len(columns):
            raise InputError(f"vectors have shape {vectors.shape}, but this adaptor takes (n, {len(columns)})")
        block = as_tensor(vectors, target)
        lengths = torch.linalg.vector_norm(block, dim=1, keepdim=True)
        if not bool(torch.isfinite(lengths).all()):
            row = int(torch.nonzero(~torch.isfinite(lengths[:, 0]))[0])
            raise InputError(f"row {row} holds NaN, infinity or overflows float32; remove it before transforming")
        if unit:
            block = _unit(block, lengths)
        short = block @ columns
        if perceptron:
            hidden = torch.relu(torch.addmm(perceptron["hidden_bias"], block, perceptron["hidden_weight"]))
            short += torch.addmm(perceptron["output_bias"], hidden, perceptron["output_weight"])
        if unit:
            short = _unit(short, torch.linalg.vector_norm(short, dim=1, keepdim=True))
        result: Floats = short.cpu().numpy()
        return result

    return transform


def _unit(vectors: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    return torch.where(lengths > 0, vectors / lengths, torch.zeros_like(vectors))
