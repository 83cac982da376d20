"""The trainable adaptor `ê = e + f(e)`, in the coordinates that the start puts the vectors in.

Training works on started vectors z = e·S, where S (d, d) is the PCA rotation or the identity; both keep every
full-dimension inner product, so the teacher's similarities are those of the originals. `fold` multiplies S back in.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from adaptor.rows import Floats
from adaptor.settings import DIM_LADDER, ModelSettings

#: An automatic block ends at a third of the dimension: beyond it PCA is near the ceiling on what we measured.
_LEADING_SHARE = 3
#: It has at most one column for so many training rows, and so many columns in all (a rotation's step inverts a matrix
#: of them).
_ROWS_PER_COLUMN, _MAX_TRAINED = 25, 512


class Orthogonal(nn.Module):
    """A rotation of the first b coordinates; the others pass. Starts at the identity, or at a given rotation.

    Every prefix of dim ≥ b has the similarities of the start, and the full dimension those of the original, exactly.
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
        turned = _cayley(self.generator, columns)
        return turned if self.base is None else self.base.to(turned) @ turned

    @torch.no_grad()
    def exact(self) -> Tensor:
        """The rotation (b, b) in float64, on the CPU: in float32 it is orthogonal only to about 1e-6."""
        turned = _cayley(self.generator.cpu().double())
        return turned if self.base is None else self.base @ turned

    def forward(self, started: Tensor, columns: int | None = None) -> Tensor:
        """Started vectors (n, ≥b) → adapted (n, b), or only the first `columns`: callers that need the columns behind b
        take them unchanged."""
        return started[:, : self.trained_components] @ self.rotation(columns)


class Linear(nn.Module):
    """A free matrix (b, b) on the first b coordinates, of all of them or, for low-dimensional outputs, of a block.
    Starts at the identity, or at a given matrix (b, b) (later stages continue the first)."""

    def __init__(self, trained_components: int, matrix: Tensor | None = None) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.eye(trained_components) if matrix is None else matrix.clone())

    def forward(self, started: Tensor, columns: int | None = None) -> Tensor:
        """Started vectors (n, ≥b) → adapted (n, b), or only the first `columns`."""
        return started[:, : len(self.matrix)] @ self.matrix[:, :columns]


class Residual(nn.Module):
    """The paper's module: e plus a one-hidden-layer perceptron of e, whose last layer starts at zero."""

    def __init__(self, input_dim: int, hidden: int) -> None:
        super().__init__()
        self.inner = nn.Linear(input_dim, hidden)
        self.outer = nn.Linear(hidden, input_dim)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, started: Tensor, columns: int | None = None) -> Tensor:
        """Started vectors (n, d) → adapted (n, d), or only the first `columns`."""
        adapted: Tensor = started + self.outer(torch.relu(self.inner(started)))
        return adapted[:, :columns]


AdaptorModule = Orthogonal | Linear | Residual


def new_model(settings: ModelSettings, input_dim: int, seed: int, rows: int | None = None) -> AdaptorModule:
    """The untrained module of the settings for dimension `input_dim`; `seed` draws the perceptron's first layer. `rows`
    are the training rows, which bound an automatic block."""
    if settings.architecture == "orthogonal":
        trained_components = (
            _automatic(input_dim, rows) if settings.trained_components == "auto" else settings.trained_components
        )
        return Orthogonal(min(trained_components or input_dim, input_dim))
    if settings.architecture == "linear":
        return Linear(input_dim)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        return Residual(input_dim, settings.hidden_units)


def _automatic(input_dim: int, rows: int | None) -> int:
    """Columns of an automatic block: the usual dim next to a third of the dimension, less where rows are few."""
    wanted = min(w for w in (*DIM_LADDER, input_dim) if w * _LEADING_SHARE >= input_dim or w >= _MAX_TRAINED)
    if rows is None or wanted * _ROWS_PER_COLUMN <= rows:
        return wanted
    return max((w for w in DIM_LADDER if w * _ROWS_PER_COLUMN <= rows), default=min(DIM_LADDER))


def head_components(trained_components: int, input_dim: int) -> int:
    """Leading coordinates that low-dimensional outputs are made of: half as many again as the block of trained
    components has."""
    return min(trained_components + trained_components // 2, input_dim)


def unconstrained(module: AdaptorModule, input_dim: int) -> AdaptorModule:
    """The same map with every entry free to move: the supervised stage's start. The perceptron is free already."""
    return Linear(input_dim, torch.from_numpy(_matrix(module, input_dim))) if isinstance(module, Orthogonal) else module


def trainable_dims(module: AdaptorModule, dims: tuple[int, ...]) -> tuple[int, ...]:
    """The dims whose similarities the module can change: an orthogonal architecture leaves those from
    `trained_components` on as the start has them."""
    return tuple(w for w in dims if not isinstance(module, Orthogonal) or w < module.trained_components)


def fold(module: AdaptorModule, start: Floats, scale: float, head: Tensor | None = None) -> dict[str, Floats]:
    """Multiply the start back in: the artefact's tensors (float32), computed in float64.

    `start` is S (d, d); `scale` is the length that training vectors were divided by (1 for the cosine metric). `head`
    (b, c) makes low-dimensional outputs of the first b columns of wide ones.
    """
    outer = start.astype(np.float64)
    if not isinstance(module, Residual):
        folded = {"linear": (outer @ _matrix(module, len(start))).astype(np.float32)}
        return folded if head is None else {**folded, "head": head.float().numpy()}
    weights = {name: p.detach().cpu().double().numpy() for name, p in module.named_parameters()}
    return {
        "linear": start,
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
    wanted = unit[:, :columns]
    turned: Tensor = 2 * torch.linalg.solve(unit - skew, wanted) - wanted
    return turned
