"""What guards the supervised stage: which queries are held out, how they are scored, and what is kept of the labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import pytrec_eval
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from adaptor.rows import unit_rows
from adaptor.settings import LossSettings, ModelSettings, TrainingSettings
from adaptor.training_job import Stage, TrainingJob
from adaptor.training_set import Labels, Supervision, TrainingSet, fresh, hold_out_queries
from adaptor.validation import ndcg
from adaptor.weight_interpolation import boldest_alpha, interpolate, largest_alpha, safest_alpha


def labels_of(pairs: list[tuple[int, int]]) -> Labels:
    """Labels of (query, document) pairs, renumbered so that every query has one; grades are the place's parity + 1."""
    table = np.array(sorted(set(pairs)), np.int64)
    queries = np.unique(table[:, 0], return_inverse=True)[1].astype(np.int64)
    return Labels(queries, table[:, 1], (1 + np.arange(len(table)) % 2).astype(np.float32))


def groups(labels: Labels, rows: int) -> Any:
    """The connected component of each query, by scipy."""
    edges = coo_array((np.ones(len(labels.queries)), (labels.queries, rows + labels.documents)), (rows + 81, rows + 81))
    return np.unique(connected_components(edges, directed=False)[1][:rows], return_inverse=True)[1]


PAIRS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 80)), min_size=4, max_size=150)


@settings(deadline=None)
@given(PAIRS, st.sampled_from([0.05, 0.1, 0.3]), st.integers(0, 3))
def test_whole_groups_of_queries_are_held_out_and_the_rest_fills_up(
    pairs: list[tuple[int, int]], share: float, seed: int
) -> None:
    labels = labels_of(pairs)
    rows = int(labels.queries.max()) + 1
    training, held = hold_out_queries(labels, share, seed)
    assert sorted([*training, *held]) == list(range(rows))
    assert len(held) == max(round(rows * share), min(50, rows // 2))
    group = groups(labels, rows)
    size = np.bincount(group)
    small = size[size <= max(1, len(held) // 4)]
    asked = {q: set(labels.documents[labels.queries == q].tolist()) for q in range(rows)}
    known = {document for q in training for document in asked[int(q)]}
    count = fresh(labels.of(held), labels.of(training))
    assert count == sum(not asked[int(q)] & known for q in held)
    assert count >= min(len(held), small.sum()) - small.max(initial=0)


def test_no_relevant_document_leaks_where_groups_are_small() -> None:
    labels = labels_of([(q, q // 3) for q in range(900)])  # three queries share each document
    training, held = hold_out_queries(labels, 0.1, 0)
    assert len(held) == 90
    assert fresh(labels.of(held), labels.of(training)) == 90


def test_queries_of_one_large_group_are_held_out_singly() -> None:
    labels = labels_of([(q, 0) for q in range(500)] + [(q, q) for q in range(500, 510)])
    training, held = hold_out_queries(labels, 0.1, 0)
    assert len(held) == 51
    assert fresh(labels.of(held), labels.of(training)) == 10
    assert hold_out_queries(labels, 0.1, 0)[1].tolist() == held.tolist() != hold_out_queries(labels, 0.1, 1)[1].tolist()


@pytest.mark.parametrize("seed", range(3))
def test_ndcg_is_that_of_trec_eval(seed: int) -> None:
    draw = np.random.default_rng(seed)
    found = np.stack([draw.permutation(40)[:10] for _ in range(30)])
    relevant = draw.random((30, 40)) < 0.3
    relevant[:, 0] = True
    queries, documents = np.nonzero(relevant)
    labels = Labels(queries, documents, draw.integers(1, 4, len(queries)).astype(np.float32))
    judged: dict[str, dict[str, int]] = {str(q): {} for q in range(30)}
    for q, d, g in zip(queries, documents, labels.grades, strict=True):
        judged[str(q)][str(d)] = int(g)
    run = {str(q): {str(d): 10.0 - i for i, d in enumerate(row.tolist())} for q, row in enumerate(found)}
    expected = pytrec_eval.RelevanceEvaluator(judged, {"ndcg_cut_10"}).evaluate(run)
    np.testing.assert_allclose(ndcg(found, labels), [expected[str(q)]["ndcg_cut_10"] for q in range(30)], atol=1e-9)


def noisy(means: list[float], queries: int, spread: float) -> Any:
    noise = np.random.default_rng(0).normal(size=(len(means), queries)) * spread
    return np.asarray(np.array(means)[:, None] + noise - noise.mean(axis=1, keepdims=True))[:, None]


def test_of_alphas_that_held_out_queries_cannot_tell_apart_the_largest_is_kept() -> None:
    assert largest_alpha(noisy([0.60, 0.64, 0.66, 0.655, 0.65], 50, 0.2)) == 4  # a standard error of 0.04
    assert largest_alpha(noisy([0.60, 0.64, 0.66, 0.655, 0.62], 5000, 0.1)) == 2  # a standard error of 0.002


def test_what_clearly_hurts_held_out_queries_is_not_kept() -> None:
    assert largest_alpha(noisy([0.66, 0.64, 0.62, 0.60, 0.50], 400, 0.1)) == 0  # a standard error of 0.007
    assert largest_alpha(noisy([0.64, 0.66, 0.62, 0.60, 0.50], 400, 0.1)) == 1


def test_of_maps_that_held_out_rows_can_hardly_tell_apart_the_boldest_is_taken() -> None:
    gains = noisy([0.0, 0.010, 0.014, 0.0135, 0.0125], 400, 0.02)[:, 0]  # a standard error of 0.0014
    assert boldest_alpha(gains) == 4
    assert boldest_alpha(noisy([0.0, 0.010, 0.014, 0.010, 0.002], 400, 0.02)[:, 0]) == 2
    assert boldest_alpha(noisy([0.0, -0.001, -0.001, -0.001, -0.001], 400, 0.02)[:, 0]) == 0


def test_a_map_that_hurts_held_out_queries_is_taken_back_and_one_that_helps_is_kept() -> None:
    draw = np.random.default_rng(0)
    corpus = unit_rows(draw.normal(size=(300, 16)).astype(np.float32))
    queries = unit_rows(corpus[:60] + 0.02 * draw.normal(size=(60, 16)).astype(np.float32))
    truth = Labels(np.arange(60), np.arange(60), np.ones(60, np.float32))
    supervision = Supervision(
        queries=queries,
        labels=truth,
        negatives=np.zeros((60, 1), np.int64),
        held_out=queries,
        held_out_labels=truth,
    )
    none = np.zeros((0, 10), np.int64)
    data = TrainingSet(
        corpus=corpus,
        anchors=300,
        neighbours=none,
        held_out=corpus[:0],
        truth=none,
        searched=300,
        supervision=supervision,
    )
    good, bad = torch.eye(16), torch.from_numpy(draw.normal(size=(16, 16)).astype(np.float32))
    bad[:, 0] *= 100  # one direction drowns the others
    work = TrainingJob(
        data=data,
        model=ModelSettings(),
        loss=LossSettings(),
        training=TrainingSettings(),
        metric="cosine",
        dims=(4, 16),
    )
    for initial, last, kept in ((good, bad, 0.0), (bad, good, 1.0)):  # what training began with, and what it found
        alpha, mixed, score = interpolate(initial, last, work, Stage.SUPERVISED)
        assert alpha == kept
        assert torch.equal(mixed.matrix.detach(), good)
        assert score > 0.9


def test_labels_that_cost_a_dim_beyond_noise_are_not_kept() -> None:
    scores = np.concatenate(
        [noisy([0.6, 0.7, 0.8, 0.9, 0.9], 400, 0.02), noisy([0.6, 0.6, 0.6, 0.5, 0.5], 400, 0.02)], 1
    )
    assert largest_alpha(scores) == 2


def test_a_log_is_taken_as_far_as_it_helps_and_costs_no_dim() -> None:
    helps, costs = noisy([0.5, 0.55, 0.6, 0.65, 0.62], 400, 0.02), noisy([0.5, 0.5, 0.5, 0.49, 0.48], 400, 0.02)
    same, both = np.concatenate([helps * 0, costs * 0], 1), np.concatenate([helps, costs], 1)
    assert safest_alpha(helps, helps * 0) == 3
    assert safest_alpha(both, same) == 2
    assert safest_alpha(noisy([0.5, 0.5001, 0.5002, 0.5001, 0.5], 400, 0.1), same[:, :1]) == 0  # no more than chance
    assert safest_alpha(helps, noisy([0.5, 0.499, 0.49, 0.48, 0.47], 30, 0.0)) == 1  # rows lose a point
