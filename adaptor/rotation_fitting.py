"""Learns a rotation that brings short vectors nearer to the corners of a cube: iterative quantisation (ITQ).

Source: Gong and Lazebnik, "Iterative Quantization: A Procrustean Approach to Learning Binary Codes", CVPR 2011.
"""

from __future__ import annotations

import numpy as np

from adaptor.rotation import Rotation
from adaptor.rows import Doubles, Floats

_ITERATIONS = 20
#: Rows that are learned from, at most.
_ROWS = 4096


def learn_rotation(rows: Doubles, held_out: Doubles, start: Rotation) -> Floats | None:
    """A rotation of rows (n, m), float32 (m, m), that begins at `start`; None where it does not code `held_out` (h, m)
    better than `start` does, by more than chance.

    Minimises |B - VR|² over signs B and rotations R in turns, V being the centred rows: B = sgn(VR), then R = U·Wᵀ of
    the singular value decomposition VᵀB = U·S·Wᵀ (section 2.2 there).
    """
    mean = rows.mean(axis=0)
    centred = (rows[:_ROWS] - mean).astype(np.float32)
    first = start.apply(np.eye(rows.shape[1]))
    matrix = first.astype(np.float32)
    for _ in range(_ITERATIONS):
        signs = np.where(centred @ matrix >= 0, np.float32(1), np.float32(-1))
        left, _, right = np.linalg.svd(centred.T @ signs)
        matrix = left @ right
    left, _, right = np.linalg.svd(matrix.astype(np.float64))
    matrix = left @ right  # orthogonal to the last bit, which float32 is not
    gains = _errors((held_out - mean) @ first) - _errors((held_out - mean) @ matrix)
    sure = len(gains) > 1 and gains.mean() > 2 * gains.std(ddof=1) / np.sqrt(len(gains))
    return np.ascontiguousarray(matrix, np.float32) if sure else None


def _errors(rotated: Doubles) -> Doubles:
    """Squared error of each of centred rows (n, m) stored as signs of the best size: (n,)."""
    sizes = np.abs(rotated)
    return np.asarray(np.square(sizes - sizes.mean()).sum(axis=1)) if len(rotated) else np.empty(0)
