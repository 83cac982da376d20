"""From a column of long vectors to short ones, of one or several dims, with a reason for every row that cannot be
shortened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from adaptor.artefact import Adaptor
from adaptor.projection import Projection
from adaptor.rows import LENGTH_TOLERANCE, Floats
from jobs.sources.vectors import decode

#: Rows are passed on in multiples of this, so that the numeric library groups them alike whatever the batch size is.
ROW_STEP = 4096


@dataclass(frozen=True)
class RowTransform:
    """Projections of an adaptor: each of `transforms` maps float32 (n, d) and their squared lengths (n,) to float32 (n,
    m)."""

    adaptor: Adaptor
    transforms: Sequence[Callable[[Floats, Floats], Floats]]

    def __call__(self, column: pa.Array) -> tuple[list[Floats], dict[int, str]]:
        """Shorten a column of n vectors: float32 (n, m) by each, and row → reason for those that are unusable.

        Reasons are those of `decode`, and: "overflow" (before or after), "length 1.2300 (expected 1)" where fit saw
        unit vectors only and the metric minds, "zero after shortening" (cosine has no direction then).
        """
        decoded = decode(column, self.adaptor.input_dim)
        reasons, vectors, squares = dict(decoded.reasons), decoded.vectors, decoded.squares
        overflowed = ~np.isfinite(squares)
        if overflowed.any():
            vectors = np.where(overflowed[:, None], np.float32(0), vectors)
            squares = np.where(overflowed, np.float32(0), squares)
            _add(reasons, overflowed, "overflow")
        if self.adaptor.unit_input and self.adaptor.metric != "cosine":
            lengths = np.sqrt(squares)
            for row in np.flatnonzero(np.abs(lengths - 1) > LENGTH_TOLERANCE):
                reasons.setdefault(int(row), f"length {lengths[row]:.4f} (expected 1)")
        outputs = [transform(vectors, squares) for transform in self.transforms]
        for short in outputs:
            sums = np.einsum("nm,nm->n", short, short)
            _add(reasons, ~np.isfinite(sums), "overflow")
            if self.adaptor.metric == "cosine":
                _add(reasons, sums == 0, "zero after shortening")
        return outputs, dict(sorted(reasons.items()))


def open_row_transform(adaptor: Adaptor, projections: Sequence[Projection], on_gpu: bool) -> RowTransform:
    """Projections of the adaptor, on the GPU that Ray gave this process or with numpy."""
    return RowTransform(adaptor, [_on_gpu(part) if on_gpu else part.transform_rows for part in projections])


def _on_gpu(projection: Projection) -> Callable[[Floats, Floats], Floats]:
    from adaptor.torch_transform import on_device

    transform = on_device(projection, "cuda")
    return lambda vectors, squares: transform(vectors)  # computing lengths there costs less than bringing them


def aligned(batch_rows: int) -> int:
    """`batch_rows` rounded up to whole steps."""
    return -(-batch_rows // ROW_STEP) * ROW_STEP


def _add(reasons: dict[int, str], rows: np.ndarray, reason: str) -> None:
    for row in np.flatnonzero(rows):
        reasons.setdefault(int(row), reason)
