"""The search on a real Ray: the same neighbours for any number of shards and any chunks of queries."""

from __future__ import annotations

import numpy as np
import pytest

from adaptor.neighbours import top_k
from cluster.settings import ClusterSection
from jobs.fit import neighbour_search as search
from jobs.fit.neighbour_search import cut, in_shards, search_on

pytestmark = pytest.mark.usefixtures("ray_cluster")


def test_one_two_or_five_shards_find_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_CHUNK_ROWS", 150)
    draw = np.random.default_rng(0)
    vectors = draw.normal(size=(400, 16)).astype(np.float32)
    vectors[200:240] = vectors[0]  # duplicates: their order is that of their ids
    numbers = np.arange(400)
    expected = top_k(vectors, vectors, numbers, 10, "cosine", numbers)
    for parts in (1, 2, 5):
        assert len(in_shards([vectors], parts)) == parts
        found = search_on(ClusterSection(), "cosine", parts)(vectors, [vectors], 10, itself=True)
        assert np.array_equal(found.ids, expected.ids)
        assert np.array_equal(found.similarities, expected.similarities)


@pytest.mark.parametrize(
    ("rows", "workers", "gpus", "chunks"),
    [(100, 1, 0, 10), (100, 1, 1, 2), (100, 3, 1, 3), (100, 64, 1, 10), (15, 64, 1, 2)],
)
def test_a_gpu_is_given_many_queries_at_once_and_none_goes_without(
    rows: int, workers: int, gpus: int, chunks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "_CHUNK_ROWS", 10)
    monkeypatch.setattr(search, "_GPU_CHUNK_ROWS", 50)
    assert len(search._chunks(rows, ClusterSection(workers=workers, gpus_per_worker=gpus))) == chunks


def test_another_metric_than_the_usual_can_be_asked_for() -> None:
    vectors = np.array([[1, 0], [9, 9]], np.float32)
    asked = search_on(ClusterSection(), "dot", 2)
    assert asked(vectors[:1], [vectors], 1).ids.tolist() == [[1]]
    assert asked(vectors[:1], [vectors], 1, metric="cosine").ids.tolist() == [[0]]


def test_queries_that_are_no_rows_exclude_nothing() -> None:
    vectors = np.eye(5, dtype=np.float32)
    found = search_on(ClusterSection(), "dot", 2)(vectors, [vectors], 1)
    assert found.ids[:, 0].tolist() == [0, 1, 2, 3, 4]


def test_parts_of_the_corpus_are_numbered_through() -> None:
    vectors = np.eye(6, dtype=np.float32)
    found = search_on(ClusterSection(), "dot", 2)(vectors[::-1], [vectors[:4], vectors[:0], vectors[4:]], 1)
    assert found.ids[:, 0].tolist() == [5, 4, 3, 2, 1, 0]


@pytest.mark.parametrize(("rows", "parts", "sizes"), [(10, 3, [3, 3, 4]), (2, 5, [1, 1]), (7, 1, [7]), (0, 3, [0])])
def test_cut_covers_all_rows(rows: int, parts: int, sizes: list[int]) -> None:
    pieces = cut(rows, parts)
    assert sorted(s.stop - s.start for s in pieces) == sizes
    assert [r for s in pieces for r in range(s.start, s.stop)] == list(range(rows))
