"""Columns of codes: nulls, slices and chunks, and how far a length may be from one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from jobs.encodings.encoding import Encoding, open_encoding
from tests.jobs.evaluate.inputs import make_adaptor, with_fitted_codes

DIM = 16
CODED = ("int8", "uint8", "int4", "int2", "binary")


@pytest.fixture(scope="module")
def vectors() -> Any:
    rows = np.random.default_rng(3).normal(size=(300, DIM)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def encoding(name: str, vectors: Any) -> Encoding:
    return open_encoding(name, with_fitted_codes(make_adaptor(vectors, (8, DIM)), vectors), DIM)


@pytest.mark.parametrize("name", CODED)
def test_a_number_is_within_the_tolerance_of_its_code(name: str, vectors: Any) -> None:
    opened = encoding(name, vectors)
    short = opened.projection.transform_rows(vectors)
    column = opened.encode(short)
    assert column.type == opened.arrow_type
    decoded = opened.decode(column)
    allowed = opened.tolerance(decoded.vectors) * (1 + 1e-4)
    assert (np.abs(opened.clip(short) - decoded.vectors) <= allowed).all()
    assert (np.abs(np.sqrt(decoded.squares) - 1) <= opened.length_tolerance).all()
    assert np.isfinite(opened.length_tolerance) == name.endswith("int8")


@pytest.mark.parametrize("name", CODED)
def test_nulls_have_a_reason_and_are_zeros(name: str, vectors: Any) -> None:
    opened = encoding(name, vectors)
    rows = opened.encode(opened.projection.transform_rows(vectors[:4])).to_pylist()
    column = pa.array([rows[0], None, rows[2]], opened.arrow_type)
    decoded = opened.decode(column)
    assert decoded.reasons == {1: "null vector"}
    assert not decoded.vectors[1].any()
    assert decoded.vectors[[0, 2]].any()


@pytest.mark.parametrize("name", CODED)
def test_slices_and_chunks_are_read_where_they_begin(name: str, vectors: Any) -> None:
    opened = encoding(name, vectors)
    column = opened.encode(opened.projection.transform_rows(vectors))
    whole = opened.decode(column).vectors
    np.testing.assert_array_equal(opened.decode(column.slice(7, 20)).vectors, whole[7:27])
    chunked = pa.chunked_array([column.slice(0, 5), column.slice(5, 40)])
    np.testing.assert_array_equal(opened.decode(chunked).vectors, whole[:45])
    assert opened.decode(column.slice(0, 0)).vectors.shape == (0, DIM)
