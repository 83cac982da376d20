"""Retrieval measures against formulas written out here, intervals against scipy."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from adaptor.baselines import Column
from jobs.search.scoring import METRICS, bootstrap_means, compare, make_records, retrieval_scores


def brute_force(ranked: list[int], grades: dict[int, int]) -> dict[str, float]:
    """The definitions, one query at a time: linear gain, log2 discount, ideal over all relevant documents."""
    ranked = [row for row in dict.fromkeys(ranked) if row >= 0]
    relevant = {row for row, grade in grades.items() if grade > 0}
    gain = sum(max(grades.get(row, 0), 0) / math.log2(i + 2) for i, row in enumerate(ranked[:10]))
    ideal = sorted((max(grade, 0) for grade in grades.values()), reverse=True)[:10]
    best = sum(grade / math.log2(i + 2) for i, grade in enumerate(ideal))
    first = next((i for i, row in enumerate(ranked[:10]) if row in relevant), None)
    return {
        "ndcg@10": gain / best if best else 0.0,
        "recall@10": len(relevant & set(ranked[:10])) / len(relevant) if relevant else 0.0,
        "recall@100": len(relevant & set(ranked[:100])) / len(relevant) if relevant else 0.0,
        "mrr@10": 0.0 if first is None else 1 / (first + 1),
    }


@given(st.integers(0, 2**32 - 1))
def test_retrieval_measures_equal_their_definitions(seed: int) -> None:
    draws = np.random.default_rng(seed)
    found = np.stack([draws.permutation(300)[:100] for _ in range(4)])
    found[3, 5:] = -1
    found[2, 7] = found[2, 3]
    judgments = {
        query: {int(row): int(draws.integers(0, 4)) for row in draws.choice(np.arange(-5, 300), 30, replace=False)}
        for query in (0, 2, 3)
    }
    scores = retrieval_scores(found, judgments)
    for place, (query, grades) in enumerate(judgments.items()):
        for metric, expected in brute_force(found[query].tolist(), grades).items():
            assert scores[metric][place] == pytest.approx(expected, abs=1e-6), metric


def test_rank_alone_decides_and_not_the_name_of_a_row() -> None:
    found = np.array([[9, 10, 1], [10, 9, 1]])
    assert retrieval_scores(found, {0: {10: 1}, 1: {10: 1}})["mrr@10"].tolist() == [0.5, 1.0]


def test_queries_that_find_nothing_score_zero_and_queries_without_judgments_do_not_count() -> None:
    found = np.array([[-1, -1], [4, 5], [6, 7]])
    scores = retrieval_scores(found, {0: {4: 1}, 2: {7: 2, -1: 1}})
    assert scores["recall@10"].tolist() == [0.0, 0.5]
    assert {len(numbers) for numbers in scores.values()} == {2}


def test_intervals_agree_with_scipy() -> None:
    series = np.random.default_rng(3).beta(2, 3, size=(3, 250))
    records = make_records(
        "set", {Column("adaptor", m): {"ndcg@10": row} for m, row in enumerate(series, 1)}, resamples=4000, seed=1
    )
    for record, row in zip(records, series, strict=True):
        expected = stats.bootstrap(
            (row,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(2)
        ).confidence_interval
        assert record.value == pytest.approx(row.mean(), abs=1e-6)
        assert record.ci_low == pytest.approx(expected.low, abs=2e-3)
        assert record.ci_high == pytest.approx(expected.high, abs=2e-3)
        assert record.n == 250


def test_resamples_are_seeded_means_of_the_given_numbers() -> None:
    series = np.array([[0.0, 1.0], [5.0, 5.0]])
    means = bootstrap_means(series, 200, seed=4)
    assert means.shape == (2, 200)
    assert set(means[0]) == {0.0, 0.5, 1.0}
    assert set(means[1]) == {5.0}
    assert np.array_equal(means, bootstrap_means(series, 200, seed=4))
    assert not np.array_equal(means, bootstrap_means(series, 200, seed=5))


def test_records_keep_the_contract_and_each_measure_its_own_n() -> None:
    scores = {Column("pca", 16): {"overlap@10": np.ones(5), "ndcg@10": np.array([0.25, 0.75])}}
    records = [vars(record) for record in make_records("scifact", scores, 50, 0)]
    assert [record["metric"] for record in records] == ["ndcg@10", "overlap@10"]
    assert list(records[0]) == [
        "set",
        "method",
        "dim",
        "encoding",
        "bytes",
        "metric",
        "value",
        "ci_low",
        "ci_high",
        "n",
    ]
    assert (records[0]["set"], records[0]["encoding"], records[0]["bytes"]) == ("scifact", "float32", 64)
    assert (records[0]["value"], records[0]["n"]) == (0.5, 2)
    assert (records[1]["ci_low"], records[1]["ci_high"], records[1]["n"]) == (1.0, 1.0, 5)
    assert set(METRICS) >= {"overlap@1", "overlap@100", "mrr@10", "recall@100", "pairwise_distance", "topk_distance"}


def test_a_comparison_is_paired() -> None:
    # Both methods vary a lot over the queries, their difference does not: only a paired interval excludes 0.
    base = np.random.default_rng(0).uniform(0, 1, 100)
    scores = {
        Column("original", 64): {"ndcg@10": base},
        Column("pca", 16): {"ndcg@10": base},
        Column("adaptor", 16): {"ndcg@10": base + 0.01},
    }
    (comparison,) = compare(scores, "ndcg@10", "adaptor", 200, 0)
    assert (comparison.dim, comparison.against) == (16, "pca")
    assert comparison.ci_low == pytest.approx(0.01)
    assert comparison.ci_high == pytest.approx(0.01)
