"""Nested samples hold what a search of their rows holds; extrapolation follows a curve, and only downwards."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptor.baselines import Column
from adaptor.rows import unit_rows
from cluster.settings import ClusterSection
from jobs.advise.nested_samples import (
    JudgedRows,
    SampleScores,
    curve_weights,
    extrapolate,
    sample_sizes,
    search_nested,
)
from jobs.config.sections import SourceSection
from jobs.search.columns import Columns
from jobs.search.scoring import DEPTH
from jobs.search.source_search import SearchSpec
from tests.jobs.evaluate.inputs import make_adaptor

DIM = 8
TRUTH, SHORT = Column("original", DIM), Column("pca", 3)


@given(st.integers(1, 10**7), st.integers(1, 10**9))
def test_samples_double_and_end_with_the_whole_sample(rows: int, whole: int) -> None:
    sizes = sample_sizes(rows, whole)
    assert sizes[-1] == rows
    assert sizes == sorted(set(sizes))
    assert len(sizes) == 1 if rows >= whole else len(sizes) <= 4
    assert all(abs(large - 2 * small) <= 1 for small, large in pairwise(sizes))


@pytest.mark.parametrize("degree", [1, 2])
@given(st.lists(st.integers(1, 10**6), min_size=3, max_size=5, unique=True), st.integers(1, 10**9))
def test_weights_are_those_of_the_least_squares_curve(degree: int, sizes: list[int], whole: int) -> None:
    values = np.random.default_rng(sizes[0]).uniform(0, 1, len(sizes))
    weights = curve_weights(sizes, whole, degree)
    curve = np.polynomial.Polynomial.fit(np.log2(sizes), values, degree)
    # Sizes that nearly coincide make both ill-conditioned.
    assert weights @ values == pytest.approx(curve(np.log2(whole)), rel=1e-6, abs=1e-9 * np.abs(weights).max() + 1e-6)


def test_both_curves_are_extrapolated_but_never_upwards() -> None:
    queries = np.array([-0.1, 0.1])
    means = {
        "straight": (0.9, 0.85, 0.8, 0.75),
        "slower": (0.90, 0.80, 0.74, 0.72),
        "faster": (0.90, 0.89, 0.86, 0.81),
        "rises": (0.5, 0.55, 0.6, 0.65),
    }
    steps = [
        SampleScores(rows, {SHORT: {name: mean[number] + queries for name, mean in means.items()}})
        for number, rows in enumerate((50, 100, 200, 400))
    ]
    line, parabola = (curve[SHORT] for curve in extrapolate(steps, 1600))
    assert line["straight"] == pytest.approx(0.65 + queries)
    assert parabola["straight"] == pytest.approx(0.65 + queries)
    for name in ("slower", "faster"):
        expected = np.polynomial.Polynomial.fit(range(4), means[name], 1)(5)
        assert line[name] == pytest.approx(expected + queries)
    assert parabola["slower"] == pytest.approx(0.72 + queries), "the parabola turns upwards: it is not followed"
    assert parabola["faster"] == pytest.approx(0.81 - 0.07 - 0.09 + queries)
    assert line["rises"] == pytest.approx(0.65 + queries)
    assert parabola["rises"] == pytest.approx(0.65 + queries)
    (alone,) = extrapolate(steps[-1:], 1600)
    assert alone[SHORT]["straight"] == pytest.approx(0.75 + queries)


@pytest.mark.usefixtures("ray_cluster")
def test_every_sample_is_an_exact_search_of_its_rows_and_of_the_judged_ones() -> None:
    draws = np.random.default_rng(0)
    vectors = draws.normal(size=(300, DIM)).astype(np.float32)
    beyond = draws.normal(size=(20, DIM)).astype(np.float32)
    judged = np.array([5, 70, 200, *range(300, 320)])
    everything = np.concatenate([vectors, beyond])
    own = np.array([3, 99, 250])
    spec = SearchSpec(
        source=SourceSection(uri="unused", metric="cosine"),
        columns=Columns(make_adaptor(vectors, (3,)), (3,)),
        queries=vectors[own],
        exclude=own,
        judged_ids=(),
        depth=DEPTH,
    )
    sizes = [64, 150, 300]
    found = search_nested(spec, vectors, sizes, JudgedRows({}, judged, everything[judged]), ClusterSection(workers=2))
    for size, (alone, joined) in zip(sizes, found, strict=True):
        for near, rows in ((alone, np.arange(size)), (joined, np.union1d(np.arange(size), judged))):
            for column, columns in ((TRUTH, DIM), (Column("truncation", 3), 3)):
                cosines = unit_rows(vectors[own, :columns]) @ unit_rows(everything[rows, :columns]).T
                cosines[own[:, None] == rows] = -np.inf
                best = rows[np.argsort(-cosines, axis=1)][:, :DEPTH]
                there = min(DEPTH, len(rows) - 1)
                exact = near[column].ids[:, :there] == best[:, :there]
                assert exact.mean() > 0.99, (size, column)  # ties in the last bit of float32 may swap
                assert len(set(near[column].ids[1][near[column].ids[1] >= 0])) == (near[column].ids[1] >= 0).sum()
