"""The trainable adaptor `ê = e + f(e)`, on vectors in the initial basis (pca.py). `fold` multiplies the basis back
in."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from adaptor.pca import InitialBasis
from adaptor.rows import Floats
from adaptor.settings import ModelSettings

#: Leading coordinates that a matrix without labels works on, at most: beyond, every map is near the ceiling.
_MAX_COMPONENTS = 768


class Linear(nn.Module):
    """A free matrix (b, b) on the first b coordinates. Starts at the identity, or at a given matrix (b, b)."""

    def __init__(self, components: int, matrix: Tensor | None = None) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.eye(components) if matrix is None else matrix.clone())

    def forward(self, vectors: Tensor, columns: int | None = None) -> Tensor:
        """Vectors (n, ≥b) → adapted (n, b), or only the first `columns`."""
        return vectors[:, : len(self.matrix)] @ self.matrix[:, :columns]


class Residual(nn.Module):
    """The paper's module: e plus a one-hidden-layer perceptron of e, whose last layer starts at zero."""

    def __init__(self, input_dim: int, hidden: int) -> None:
        super().__init__()
        self.inner = nn.Linear(input_dim, hidden)
        self.outer = nn.Linear(hidden, input_dim)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, vectors: Tensor, columns: int | None = None) -> Tensor:
        """Vectors (n, d) → adapted (n, d), or only the first `columns`."""
        adapted: Tensor = vectors + self.outer(torch.relu(self.inner(vectors)))
        return adapted[:, :columns]


AdaptorModule = Linear | Residual


def new_model(settings: ModelSettings, input_dim: int, seed: int) -> AdaptorModule:
    """The untrained module of the settings for dimension `input_dim`; `seed` draws the perceptron's first layer."""
    if settings.architecture == "linear":
        return Linear(min(input_dim, _MAX_COMPONENTS))
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        return Residual(input_dim, settings.hidden_units)


def of_all_coordinates(module: AdaptorModule, input_dim: int) -> AdaptorModule:
    """The same map with every coordinate free to move; those behind a matrix (b, b) passed unchanged."""
    if isinstance(module, Residual):
        return module
    matrix, components = torch.eye(input_dim), len(module.matrix)
    matrix[:components, :components] = module.matrix.detach().cpu()
    return Linear(input_dim, matrix)


def fold(module: AdaptorModule, basis: InitialBasis, head: Tensor | None = None) -> dict[str, Floats]:
    """Multiply the basis back in: the artefact's tensors (float32), computed in float64.

    `head` (b, c) makes outputs of at most c columns of the first b columns of wide ones.
    """
    outer, scale = basis.matrix.astype(np.float64), basis.scale
    if isinstance(module, Linear):
        matrix = module.matrix.detach().cpu().double().numpy()
        folded = {"linear": (outer @ matrix).astype(np.float32)}
        return folded if head is None else {**folded, "head": head.float().numpy()}
    weights = {name: p.detach().cpu().double().numpy() for name, p in module.named_parameters()}
    return {
        "linear": basis.matrix,
        "hidden_weight": (outer @ weights["inner.weight"].T / scale).astype(np.float32),
        "hidden_bias": weights["inner.bias"].astype(np.float32),
        "output_weight": (weights["outer.weight"].T * scale).astype(np.float32),
        "output_bias": (weights["outer.bias"] * scale).astype(np.float32),
    }
