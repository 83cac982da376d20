"""Rows that cannot be shortened get a reason; numpy and torch give the same short vectors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from adaptor.gpu import gpu_seen
from adaptor.settings import Metric
from adaptor.torch_transform import on_device
from jobs.compress.row_transform import RowTransform, open_row_transform
from tests.jobs.compress.workplace import DIM, OUTPUT_DIM, Workplace, lists, vectors


def test_lengths_count_where_fit_saw_unit_vectors(workplace: Workplace) -> None:
    rows = vectors(4)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows[1] *= 1.005
    rows[2] *= 1.05
    workplace.set_adaptor(metric="dot")
    adaptor = replace(workplace.adaptor, document={**workplace.adaptor.document, "unit_input": True})
    shorten = open_row_transform(adaptor, [adaptor.projection(OUTPUT_DIM)], on_gpu=False)
    assert shorten(lists(rows.tolist()))[1] == {2: "length 1.0500 (expected 1)"}


def test_a_vector_of_which_nothing_is_left_is_bad(workplace: Workplace) -> None:
    shorten = RowTransform(workplace.adaptor, [lambda wide, squares: wide[:, :2]])
    rows = np.ones((3, DIM), np.float32)
    rows[1, :2] = 0
    assert shorten(lists(rows.tolist()))[1] == {1: "zero after shortening"}


def test_torch_takes_the_column_as_it_lies_in_memory(workplace: Workplace) -> None:
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors(50).reshape(-1)), DIM)
    projection = workplace.adaptor.projection(OUTPUT_DIM)
    (by_numpy,), _ = open_row_transform(workplace.adaptor, [projection], on_gpu=False)(column)
    transform = on_device(projection, "cpu")
    (by_torch,), reasons = RowTransform(workplace.adaptor, [lambda vectors, squares: transform(vectors)])(column)
    np.testing.assert_allclose(by_torch, by_numpy, atol=1e-5)
    assert reasons == {}


@pytest.mark.gpu
@pytest.mark.skipif(not gpu_seen(), reason="needs a CUDA device")
@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_a_gpu_shortens_as_numpy_does(metric: Metric, workplace: Workplace) -> None:
    workplace.set_adaptor(metric=metric)
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors(9000).reshape(-1)), DIM)
    projections = [workplace.adaptor.projection(OUTPUT_DIM)]
    both = [open_row_transform(workplace.adaptor, projections, on_gpu) for on_gpu in (False, True)]
    by_numpy, by_gpu = (transform(column)[0][0] for transform in both)
    np.testing.assert_allclose(by_gpu, by_numpy, rtol=1e-5, atol=1e-5)
