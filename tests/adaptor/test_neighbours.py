"""Exact neighbours: equal to a plain float64 search and to one faiss index, however the corpus is cut."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptor.neighbours import Neighbours, improve, merge, top_k
from adaptor.rows import unit_rows
from adaptor.settings import Metric

METRICS: tuple[Metric, ...] = ("cosine", "dot", "l2")


def vectors(rows: int, dim: int = 24, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=(rows, dim)).astype(np.float32)


def brute_force(queries: Any, corpus: Any, ids: Any, k: int, metric: Metric, exclude: Any = None) -> Any:
    """Ids of the k best by (similarity descending, id ascending), float64 throughout."""
    q, c = queries.astype(np.float64), corpus.astype(np.float64)
    if metric == "cosine":
        q, c = unit_rows(queries).astype(np.float64), unit_rows(corpus).astype(np.float64)
    scores = -((q[:, None] - c[None]) ** 2).sum(2) if metric == "l2" else (q[:, None] * c[None]).sum(2)
    found = []
    for row, own in zip(scores.astype(np.float32), exclude if exclude is not None else [None] * len(q), strict=True):
        ranked = sorted((-s, int(i)) for s, i in zip(row, ids, strict=True) if i != own)
        found.append([i for _, i in ranked[:k]])
    return found


def in_parts(queries: Any, corpus: Any, ids: Any, parts: int, k: int, metric: Metric, exclude: Any) -> Neighbours:
    pieces = np.array_split(np.arange(len(corpus)), parts)
    return merge([top_k(queries, corpus[p], ids[p], k, metric, exclude) for p in pieces], k)


@pytest.mark.parametrize("metric", METRICS)
def test_same_as_brute_force_for_every_cut(metric: Metric) -> None:
    corpus = vectors(400)
    ids = np.random.default_rng(1).permutation(400).astype(np.int64) * 3
    expected = brute_force(corpus, corpus, ids, 10, metric, ids)
    whole = top_k(corpus, corpus, ids, 10, metric, ids)
    assert whole.ids.tolist() == expected
    for parts in (1, 2, 5, 17):
        cut = in_parts(corpus, corpus, ids, parts, 10, metric, ids)
        assert np.array_equal(cut.ids, whole.ids)
        assert np.array_equal(cut.similarities, whole.similarities)


def test_same_as_one_faiss_index() -> None:
    corpus, queries = unit_rows(vectors(2000, 64)), unit_rows(vectors(50, 64, seed=2))
    index = faiss.IndexFlatIP(64)
    index.add(corpus)
    similarities, positions = index.search(queries, 20)
    found = in_parts(queries, corpus, np.arange(2000), 5, 20, "cosine", None)
    assert np.array_equal(found.ids, positions)
    np.testing.assert_allclose(found.similarities, similarities, atol=1e-6)


def test_self_is_excluded_by_id_not_by_position() -> None:
    corpus = vectors(60)
    ids = np.arange(100, 160)
    order = np.random.default_rng(3).permutation(60)
    found = top_k(corpus[order], corpus, ids, 5, "cosine", exclude=ids[order])
    assert not (found.ids == ids[order][:, None]).any()
    assert found.ids.tolist() == brute_force(corpus[order], corpus, ids, 5, "cosine", ids[order])


def test_duplicates_are_neighbours_and_come_in_id_order() -> None:
    corpus = np.concatenate([np.repeat(vectors(1), 40, axis=0), vectors(20, seed=5)])
    ids = np.random.default_rng(4).permutation(60).astype(np.int64)
    expected = np.sort(ids[:40])
    for parts in (1, 2, 5):
        found = in_parts(corpus[:1], corpus, ids, parts, 8, "cosine", ids[:1])
        assert found.ids[0].tolist() == [i for i in expected if i != ids[0]][:8]


@pytest.mark.parametrize("metric", METRICS)
def test_more_ties_than_any_margin_at_the_last_place(metric: Metric) -> None:
    corpus = np.concatenate([vectors(100), np.repeat(vectors(2, seed=8), 150, axis=0), -vectors(50, seed=9)])
    corpus[120:130] *= 1 + 1e-7  # and rows that differ in the last bit only
    ids = np.random.default_rng(4).permutation(len(corpus)).astype(np.int64)
    for parts in (1, 2, 5):
        found = in_parts(corpus, corpus, ids, parts, 7, metric, ids)
        assert found.ids.tolist() == brute_force(corpus, corpus, ids, 7, metric, ids)


def test_a_corpus_of_one_vector_only() -> None:
    corpus = np.repeat(vectors(1), 500, axis=0)
    found = in_parts(corpus, corpus, np.arange(500), 3, 4, "cosine", np.arange(500))
    assert found.ids[:2].tolist() == [[1, 2, 3, 4], [0, 2, 3, 4]]
    assert found.ids[9].tolist() == [0, 1, 2, 3]


def test_fewer_rows_than_k_are_filled_with_nothing() -> None:
    corpus = vectors(3)
    found = top_k(corpus, corpus, np.arange(3), 5, "dot", exclude=np.arange(3))
    assert (found.ids[:, 2:] == -1).all()
    assert np.isneginf(found.similarities[:, 2:]).all()
    assert (found.ids[:, :2] >= 0).all()
    assert top_k(corpus, corpus[:0], np.arange(0), 2, "dot").ids.tolist() == [[-1, -1]] * 3


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 40),
    k=st.integers(1, 12),
    parts=st.integers(1, 6),
    seed=st.integers(0, 99),
    metric=st.sampled_from(METRICS),
)
def test_any_cut_of_vectors_full_of_ties(rows: int, k: int, parts: int, seed: int, metric: Metric) -> None:
    draw = np.random.default_rng(seed)
    corpus = draw.integers(-1, 2, size=(rows, 3)).astype(np.float32)
    ids = draw.permutation(rows).astype(np.int64)
    found = in_parts(corpus, corpus, ids, parts, k, metric, ids)
    expected = brute_force(corpus, corpus, ids, k, metric, ids)
    assert [[i for i in row if i >= 0] for row in found.ids.tolist()] == expected


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(4, 60),
    k=st.integers(1, 8),
    parts=st.integers(1, 5),
    seed=st.integers(0, 99),
    metric=st.sampled_from(METRICS),
)
def test_parts_that_stream_past_give_what_the_whole_gives(
    rows: int, k: int, parts: int, seed: int, metric: Metric
) -> None:
    draw = np.random.default_rng(seed)
    corpus = draw.integers(-2, 3, size=(rows, 3)).astype(np.float32)  # ties across the parts, too
    ids = draw.permutation(rows).astype(np.int64)
    found = top_k(corpus, corpus[:1], ids[:1], k, metric, ids)
    for part in np.array_split(np.arange(1, rows), parts):
        found = improve(found, corpus, corpus[part], ids[part], metric, ids)
    whole = top_k(corpus, corpus, ids, k, metric, ids)
    assert np.array_equal(found.ids, whole.ids)
    assert np.array_equal(found.similarities, whole.similarities)


@pytest.mark.parametrize("metric", METRICS)
def test_columns_of_a_wider_matrix_are_searched_as_their_copy(metric: Metric) -> None:
    wide, ids = np.repeat(vectors(120), 3, axis=0), np.arange(360)
    narrow = wide[:, :7]
    found = top_k(narrow, narrow, ids, 2, metric, ids)  # three of each: the second place is contested
    assert found.ids.tolist() == brute_force(narrow.copy(), narrow.copy(), ids, 2, metric, ids)
