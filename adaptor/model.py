"""The trainable adaptor `ê = e + f(e)`, on vectors in the initial basis (pca.py). `fold` multiplies the basis back
in."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from adaptor.pca import InitialBasis
from adaptor.rows import Floats
from adaptor.settings import DIM_LADDER, ModelSettings

#: `auto` trains a third of the dimension: beyond it PCA is near the ceiling on what we measured.
_DIM_PER_COMPONENT = 3
#: At most one component for so many training rows, and so many in all (a rotation's step inverts a matrix of them).
_ROWS_PER_COMPONENT, _MAX_COMPONENTS = 25, 512


class Orthogonal(nn.Module):
    """A rotation of the first b coordinates; the others pass. Starts at the identity, or at a given rotation.

    Every prefix of dim ≥ b has the similarities of the initial basis, and the full dimension those of the original,
    exactly.
    The rotation is base · (I − S)⁻¹(I + S) with S = (A − Aᵀ)/2, Cayley's transform: orthogonal for every A, and ten
    times cheaper than the exponential at b = 512.
    """

    def __init__(self, trained_components: int, base: Tensor | None = None) -> None:
        super().__init__()
        self.trained_components = trained_components
        self.generator = nn.Parameter(torch.zeros(trained_components, trained_components))
        # Not part of the state: training starts at the identity; a base is what came out of it, in float64.
        self.base = base

    def rotation(self, columns: int | None = None) -> Tensor:
        """The first `columns` (all) of the rotation (b, b), float32 with gradient."""
        learned = _cayley(self.generator, columns)
        return learned if self.base is None else self.base.to(learned) @ learned

    @torch.no_grad()
    def exact(self) -> Tensor:
        """The rotation (b, b) in float64, on the CPU: in float32 it is orthogonal only to about 1e-6."""
        learned = _cayley(self.generator.cpu().double())
        return learned if self.base is None else self.base @ learned

    def forward(self, vectors: Tensor, columns: int | None = None) -> Tensor:
        """Vectors (n, ≥b) → adapted (n, b), or only the first `columns`: callers that need the columns behind b take
        them unchanged."""
        return vectors[:, : self.trained_components] @ self.rotation(columns)


class Linear(nn.Module):
    """A free matrix (b, b) on the first b coordinates: all of them or, in the low-dimensional head, fewer. Starts at
    the identity, or at a given matrix (b, b) (later stages continue the first)."""

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


AdaptorModule = Orthogonal | Linear | Residual


def new_model(settings: ModelSettings, input_dim: int, seed: int, rows: int | None = None) -> AdaptorModule:
    """The untrained module of the settings for dimension `input_dim`; `seed` draws the perceptron's first layer. `rows`
    are the training rows, which bound an automatic number of trained components."""
    if settings.architecture == "orthogonal":
        components = settings.trained_components
        if components == "auto":
            components = _automatic_components(input_dim, rows)
        return Orthogonal(min(components or input_dim, input_dim))
    if settings.architecture == "linear":
        return Linear(input_dim)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        return Residual(input_dim, settings.hidden_units)


def _automatic_components(input_dim: int, rows: int | None) -> int:
    """The usual dim next to a third of the dimension, less where rows are few."""
    components = min(
        dim for dim in (*DIM_LADDER, input_dim) if dim * _DIM_PER_COMPONENT >= input_dim or dim >= _MAX_COMPONENTS
    )
    if rows is None or components * _ROWS_PER_COMPONENT <= rows:
        return components
    return max((dim for dim in DIM_LADDER if dim * _ROWS_PER_COMPONENT <= rows), default=min(DIM_LADDER))


def head_components(trained_components: int, input_dim: int) -> int:
    """Leading coordinates that low-dimensional outputs are made of: half as many again as are trained components."""
    return min(trained_components + trained_components // 2, input_dim)


def unconstrained(module: AdaptorModule, input_dim: int) -> AdaptorModule:
    """The same map with every entry free to move, for the supervised stage. The perceptron is free already."""
    return Linear(input_dim, torch.from_numpy(_matrix(module, input_dim))) if isinstance(module, Orthogonal) else module


def trainable_dims(module: AdaptorModule, dims: tuple[int, ...]) -> tuple[int, ...]:
    """The dims whose similarities the module can change: an orthogonal architecture leaves those from
    `trained_components` on as the initial basis has them."""
    return tuple(dim for dim in dims if not isinstance(module, Orthogonal) or dim < module.trained_components)


def fold(module: AdaptorModule, basis: InitialBasis, head: Tensor | None = None) -> dict[str, Floats]:
    """Multiply the basis back in: the artefact's tensors (float32), computed in float64.

    `head` (b, c) makes low-dimensional outputs of the first b columns of wide ones.
    """
    outer, scale = basis.matrix.astype(np.float64), basis.scale
    if not isinstance(module, Residual):
        folded = {"linear": (outer @ _matrix(module, len(outer))).astype(np.float32)}
        return folded if head is None else {**folded, "head": head.float().numpy()}
    weights = {name: p.detach().cpu().double().numpy() for name, p in module.named_parameters()}
    return {
        "linear": basis.matrix,
        "hidden_weight": (outer @ weights["inner.weight"].T / scale).astype(np.float32),
        "hidden_bias": weights["inner.bias"].astype(np.float32),
        "output_weight": (weights["outer.weight"].T * scale).astype(np.float32),
        "output_bias": (weights["outer.bias"] * scale).astype(np.float32),
    }


def _matrix(module: Orthogonal | Linear, input_dim: int) -> Floats:
    if isinstance(module, Linear):
        return module.matrix.detach().cpu().numpy()
    matrix = np.eye(input_dim, dtype=np.float32)
    matrix[: module.trained_components, : module.trained_components] = module.exact().numpy()
    return matrix


def _cayley(generator: Tensor, columns: int | None = None) -> Tensor:
    """The first columns of (I − S)⁻¹(I + S) = 2(I − S)⁻¹ − I."""
    upper = generator.triu(1)
    skew, unit = (upper - upper.T) / 2, torch.eye(len(upper), dtype=upper.dtype, device=upper.device)
    first = unit[:, :columns]
    rotation: Tensor = 2 * torch.linalg.solve(unit - skew, first) - first
    return rotation
