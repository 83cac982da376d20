"""Numbers as they are: float32 to the bit, float16 to the nearest, and what is beyond its range becomes its extreme."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from jobs.encodings.encoding import Encoding, open_encoding
from tests.jobs.evaluate.inputs import make_adaptor


def encoding(name: str, dim: int) -> Encoding:
    """An encoding of plain numbers, which asks nothing of the adaptor."""
    return open_encoding(name, make_adaptor(np.eye(64, dtype=np.float32), (2,)), dim)


def test_half_precision_rounds_to_nearest_and_clips() -> None:
    vectors = np.array([[0.1, -1e9, 65520.0], [1 + 2**-11, 1 + 3 * 2**-11, 1e-8]], np.float32)
    float16 = encoding("float16", 3)
    column = float16.encode(vectors)
    assert column.type == float16.arrow_type == pa.list_(pa.float16(), 3)
    expected = [[np.float16(0.1), -65504.0, 65504.0], [1.0, 1 + 2**-9, 0.0]]
    np.testing.assert_array_equal(np.array(column.to_pylist(), np.float32), np.array(expected, np.float32))
    assert float16.saturated(vectors) == 2


@pytest.mark.parametrize("name", ["float32", "float16"])
def test_what_is_decoded_is_what_was_encoded_within_the_tolerance(name: str) -> None:
    draws = np.random.default_rng(0)
    vectors = (draws.normal(size=(500, 7)) * 10.0 ** draws.integers(-9, 6, (500, 1))).astype(np.float32)
    opened = encoding(name, 7)
    column = opened.encode(vectors)
    assert column.type == opened.arrow_type
    assert column.flatten().nbytes == len(vectors) * opened.bytes_per_vector
    decoded = opened.decode(column).vectors
    assert (np.abs(decoded - opened.clip(vectors)) <= opened.tolerance(decoded)).all()
    assert opened.saturated(vectors) == np.count_nonzero(opened.clip(vectors) != vectors)
    if name == "float32":
        np.testing.assert_array_equal(decoded, vectors)
        np.testing.assert_array_equal(opened.tolerance(decoded), 0)


@pytest.mark.parametrize("name", ["float32", "float16"])
def test_the_length_of_a_unit_vector_stays_near_one(name: str) -> None:
    vectors = np.random.default_rng(1).normal(size=(200, 64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    opened = encoding(name, 64)
    lengths = np.linalg.norm(opened.decode(opened.encode(vectors)).vectors, axis=1)
    assert np.abs(lengths - 1).max() <= opened.length_tolerance
