"""The search on a real Ray: the same neighbours for any number of tasks."""

from __future__ import annotations

import numpy as np
import pytest

from adaptor.neighbours import top_k
from adaptor.settings import Metric
from cluster.settings import ClusterSection
from jobs.fit import neighbour_search as module
from jobs.fit.neighbour_search import NeighbourSearch

pytestmark = pytest.mark.usefixtures("ray_cluster")


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_any_number_of_tasks_finds_the_same(metric: Metric, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    vectors = (draw.normal(size=(400, 16)) * draw.lognormal(0, 1, (400, 1))).astype(np.float32)
    vectors[200:240] = vectors[0]  # duplicates: their order is that of their ids
    numbers = np.arange(400)
    expected = top_k(vectors, vectors, numbers, 10, metric, numbers)
    others = top_k(vectors[:50] + 1, vectors, numbers, 10, metric)
    for rows in (500, 150, 70):
        monkeypatch.setattr(module, "_CHUNK_ROWS", (rows, rows))
        search = NeighbourSearch(ClusterSection(), metric)
        for found, wanted in (
            (search.search_within(vectors, 10), expected),
            (search.search(vectors[:50] + 1, vectors, 10), others),
        ):
            assert np.array_equal(found.ids, wanted.ids)
            assert np.array_equal(found.similarities, wanted.similarities)


@pytest.mark.parametrize(
    ("rows", "workers", "gpus", "tasks"),
    [
        (100, 1, 0, 5),
        (100, 3, 0, 6),  # as many for each
        (100, 64, 0, 25),  # none of fewer than four queries
        (15, 64, 0, 4),
        (0, 2, 0, 1),
        (100, 1, 1, 2),
        (100, 3, 1, 3),
        (100, 64, 1, 10),
        (15, 64, 1, 2),
    ],
)
def test_no_worker_goes_without_queries_and_a_gpu_is_given_many_at_once(
    rows: int, workers: int, gpus: int, tasks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHUNK_ROWS", (20, 4))
    monkeypatch.setattr(module, "_GPU_CHUNK_ROWS", (50, 10))
    chunks = NeighbourSearch(ClusterSection(workers=workers, gpus_per_worker=gpus), "cosine").chunks(rows)
    assert len(chunks) == tasks
    assert [row for chunk in chunks for row in range(chunk.start, chunk.stop)] == list(range(rows))


def test_another_metric_than_that_of_the_source_can_be_asked_for() -> None:
    vectors = np.array([[1, 0], [9, 9]], np.float32)
    by_dot = NeighbourSearch(ClusterSection(), "dot")
    assert by_dot.search(vectors[:1], vectors, 1).ids.tolist() == [[1]]
    assert by_dot.search(vectors[:1], vectors, 1, metric="cosine").ids.tolist() == [[0]]


def test_queries_that_are_no_rows_exclude_nothing() -> None:
    vectors = np.eye(5, dtype=np.float32)
    found = NeighbourSearch(ClusterSection(), "dot").search(vectors, vectors, 1)
    assert found.ids[:, 0].tolist() == [0, 1, 2, 3, 4]
