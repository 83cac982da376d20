"""Label-free scores against their definitions in float64."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from adaptor.artefact import Adaptor
from adaptor.rows import Floats, Ids
from adaptor.settings import Metric
from jobs.config.sections import SourceSection
from jobs.search.columns import Columns
from jobs.search.label_free import label_free_scores
from jobs.search.scoring import ColumnScores
from jobs.search.source_search import SearchSpec, search_shards
from jobs.sources.source import open_source
from tests.jobs.evaluate.inputs import make_adaptor, save_source

DIM, DIMS = 10, (2, 4, 10)


def similarities(left: NDArray[Any], right: NDArray[Any], metric: Metric) -> NDArray[np.float64]:
    left, right = left.astype(np.float64), right.astype(np.float64)
    if metric == "l2":
        return np.asarray(-np.square(left[:, None] - right[None]).sum(axis=2))
    if metric == "cosine":
        left, right = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (left, right))
    return np.asarray(left @ right.T)


def scores_of(uri: str, adaptor: Adaptor, queries: Floats, exclude: Ids | None = None) -> ColumnScores:
    spec = SearchSpec(
        source=SourceSection(uri=uri, metric=adaptor.metric),
        columns=Columns(adaptor, DIMS),
        queries=queries,
        exclude=exclude,
        judged_ids=(),
        depth=100,
    )
    return label_free_scores(spec, search_shards(spec, list(enumerate(open_source(SourceSection(uri=uri)).shards()))))


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_overlap_and_distances_equal_their_definitions(tmp_path: Path, metric: Metric) -> None:
    draws = np.random.default_rng(0)
    vectors = draws.normal(size=(150, DIM)).astype(np.float32)
    queries = draws.normal(size=(12, DIM)).astype(np.float32)
    adaptor = make_adaptor(vectors, DIMS, metric)
    scores = scores_of(save_source(tmp_path, vectors, 2), adaptor, queries)

    full = similarities(queries, vectors, metric)
    truth = np.argsort(-full, axis=1, kind="stable")
    among = similarities(queries, queries, metric)
    short = dict(Columns(adaptor, DIMS).queries(queries))
    for column, documents in Columns(adaptor, DIMS).documents(vectors):
        changed = similarities(short[column], documents, metric)
        order = np.argsort(-changed, axis=1, kind="stable")
        for k in (1, 10, 100):
            expected = [len(set(truth[i, :k]) & set(order[i, :k])) / k for i in range(12)]
            np.testing.assert_allclose(scores[column][f"overlap@{k}"], expected)
        near = np.take_along_axis(np.abs(full - changed), truth[:, :10], axis=1).mean(axis=1)
        np.testing.assert_allclose(scores[column]["topk_distance"], near, atol=2e-5)
        pairs = np.abs(among - similarities(short[column], short[column], metric))
        np.fill_diagonal(pairs, 0)
        np.testing.assert_allclose(scores[column]["pairwise_distance"], pairs.sum(axis=1) / 11, atol=2e-5)


def test_a_source_smaller_than_the_lists_is_judged_on_what_it_has(tmp_path: Path) -> None:
    vectors = np.random.default_rng(1).normal(size=(4, DIM)).astype(np.float32)
    adaptor = make_adaptor(vectors, DIMS)
    scores = scores_of(save_source(tmp_path, vectors, 1), adaptor, vectors, np.arange(4))
    for column, by_metric in scores.items():
        assert all(np.isfinite(numbers).all() and len(numbers) == 4 for numbers in by_metric.values()), column
        assert by_metric["overlap@100"].tolist() == [1.0] * 4
