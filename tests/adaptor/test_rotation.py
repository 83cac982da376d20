"""The structured rotation: orthogonal, repeatable to the bit, and mixing."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from adaptor.rotation import DrawnRotation
from adaptor.rotation_fitting import learn_rotation

DIMS = [1, 2, 7, 8, 24, 96, 100, 128, 384, 1536]


@pytest.mark.parametrize("dim", DIMS)
def test_it_is_orthogonal_and_inverted(dim: int) -> None:
    matrix = DrawnRotation(dim, 3).apply(np.eye(dim))
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(dim), atol=1e-12)
    np.testing.assert_allclose(DrawnRotation(dim, 3).invert(matrix), np.eye(dim), atol=1e-12)


@pytest.mark.parametrize("dim", [dim for dim in DIMS if dim >= 64])
def test_a_coordinate_is_spread_over_all(dim: int) -> None:
    """One coordinate goes to all others, none getting much more than its share, as from a random rotation."""
    matrix = DrawnRotation(dim, 0).apply(np.eye(dim))
    random = np.linalg.qr(np.random.default_rng(0).normal(size=(dim, dim)))[0]
    assert np.abs(matrix).max() < 1.5 * np.abs(random).max()
    assert np.abs(matrix).mean() == pytest.approx(np.abs(random).mean(), rel=0.1)


def test_seed_and_dim_give_another_one() -> None:
    rows = np.eye(32)
    assert not np.allclose(DrawnRotation(32, 0).apply(rows), DrawnRotation(32, 1).apply(rows))


def test_the_signs_are_those_of_the_description() -> None:
    """Written out for dim 8: three times signs, then the Walsh-Hadamard matrix."""
    bits = "".join(f"{byte:08b}" for byte in hashlib.shake_256(b"matryoshka rotation 5 8").digest(3))
    hadamard = np.array([[(-1) ** bin(i & j).count("1") for j in range(8)] for i in range(8)]) / np.sqrt(8)
    matrix = np.eye(8)
    for turn in range(3):
        matrix = matrix @ np.diag([-1.0 if bit == "1" else 1.0 for bit in bits[8 * turn : 8 * turn + 8]]) @ hadamard
    np.testing.assert_allclose(DrawnRotation(8, 5).apply(np.eye(8)), matrix, atol=1e-14)


def test_itq_brings_unseen_rows_nearer_to_their_signs() -> None:
    """Rows around the corners of a hidden cube: a drawn rotation does not find it, the learned one does."""
    draws = np.random.default_rng(4)
    hidden = np.linalg.qr(draws.normal(size=(16, 16)))[0]
    rows = (np.sign(draws.normal(size=(3000, 16))) + 0.3 * draws.normal(size=(3000, 16))) @ hidden
    start = DrawnRotation(16, 0)
    learned = learn_rotation(rows[:2500], rows[2500:], start)
    assert learned is not None
    np.testing.assert_allclose(learned.astype(np.float64) @ learned.T, np.eye(16), atol=1e-6)

    def error(rotated: np.ndarray) -> float:
        return float(np.square(np.abs(rotated) - np.abs(rotated).mean()).mean())

    unseen = rows[2500:]
    assert error(unseen @ learned) < 0.5 * error(start.apply(unseen))


def test_what_helps_no_unseen_row_is_not_learned() -> None:
    draws = np.random.default_rng(5)
    rows = draws.normal(size=(40, 64))
    assert learn_rotation(rows, draws.normal(size=(2000, 64)), DrawnRotation(64, 0)) is None
    assert learn_rotation(rows, rows[:0], DrawnRotation(64, 0)) is None
