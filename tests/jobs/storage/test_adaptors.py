"""What is said of dims that the low-dimensional head does not reach."""

from __future__ import annotations

import numpy as np
import pytest

from adaptor.artefact import Adaptor, build
from jobs.storage.adaptors import beyond_the_head


def adaptor_of(head: int, trained: list[int]) -> Adaptor:
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(16, 16)))[0].astype(np.float32)
    about = {"input_dim": 16, "dims": trained, "metric": "cosine", "architecture": "orthogonal", "unit_input": False}
    tensors = {"linear": turn, **({"head": turn[:6, :head].copy()} if head else {})}
    return build({**about, "recipe": {}, "settings": {}}, tensors, turn)


@pytest.mark.parametrize(
    ("head", "dims", "said"),
    [
        (4, [3, 4, 8, 12], ""),
        (4, [5], "; 4 columns, the widest with a map of their own, may keep more than 5"),
        (4, [3, 5, 7, 9], "; 4 columns, the widest with a map of their own, may keep more than 5, 7"),
        (0, [1, 5], ""),
    ],
)
def test_the_gap_between_the_narrow_map_and_the_next_trained_width(head: int, dims: list[int], said: str) -> None:
    assert beyond_the_head(adaptor_of(head, [2, 4, 8, 16]), dims) == said


def test_where_no_wider_one_is_trained_the_gap_ends_at_the_full_width() -> None:
    assert beyond_the_head(adaptor_of(4, [2, 4]), [4, 15, 16]).endswith("may keep more than 15")
