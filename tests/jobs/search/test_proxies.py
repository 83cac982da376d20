"""Validity of proxies: against scipy, and against orders made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from adaptor.baselines import ORIGINAL
from jobs.search.proxies import PROXIES, benchmark, correlation, proxy_validity, ranks
from jobs.search.scoring import MeasureEstimate, MetricRecord
from tests.jobs.reporting.test_report import CODES, results

NUMBERS = st.lists(st.integers(-5, 5), min_size=3, max_size=30)


def records(*rows: tuple[str, int, float, float, float]) -> list[MetricRecord]:
    """Method, dim, nDCG@10, overlap@10, top-k distance."""
    made = []
    for method, dim, *numbers in rows:
        for metric, value in zip(("ndcg@10", "overlap@10", "topk_distance"), numbers, strict=True):
            mean = MeasureEstimate(value, value, value)._asdict()
            made.append(
                MetricRecord(
                    set="s", method=method, dim=dim, encoding="float32", bytes=4 * dim, metric=metric, n=9, **mean
                )
            )
    return made


@given(NUMBERS, st.randoms(use_true_random=False))
def test_correlations_agree_with_scipy(numbers: list[int], draws: object) -> None:
    one = np.array(numbers, np.float64)
    other = np.random.default_rng(len(numbers)).integers(-3, 3, len(numbers)).astype(np.float64)
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        assert correlation(one, other) == 0
        return
    assert ranks(one).tolist() == stats.rankdata(one).tolist()
    assert correlation(one, other) == pytest.approx(stats.pearsonr(one, other).statistic, abs=1e-4)
    assert correlation(ranks(one), ranks(other)) == pytest.approx(stats.spearmanr(one, other).statistic, abs=1e-4)


def test_distances_count_reversed_and_methods_of_one_dim_are_compared() -> None:
    rows = [
        (ORIGINAL, 64, 0.70, 1.0, 0.0),
        ("pca", 8, 0.40, 0.5, 0.3),
        ("adaptor", 8, 0.45, 0.6, 0.4),  # better by nDCG and by overlap, worse by distance
        ("pca", 16, 0.50, 0.7, 0.2),
        ("adaptor", 16, 0.501, 0.6, 0.3),  # too close to call: does not count
        ("pca", 32, 0.60, 0.9, 0.1),
        ("adaptor", 32, 0.65, 0.8, 0.05),  # better by nDCG and by distance, worse by overlap
        ("pca", 64, 0.70, 1.0, 0.0),  # the full dimension is no short vector
        ("adaptor", 64, 0.70, 1.0, 0.0),
    ]
    overlap, distance = proxy_validity(records(*rows))
    truth = [r[2] for r in rows[1:7]]
    assert (overlap.proxy, distance.proxy, overlap.columns) == ("overlap@10", "topk_distance", 6)
    assert overlap.rank_correlation == pytest.approx(stats.spearmanr([r[3] for r in rows[1:7]], truth)[0], abs=1e-4)
    assert distance.linear_correlation == pytest.approx(-stats.pearsonr([r[4] for r in rows[1:7]], truth)[0], abs=1e-4)
    assert (overlap.same_order, overlap.pairs) == (0.5, 2)
    assert (distance.same_order, distance.pairs) == (0.5, 2)


def test_what_is_said_of_methods_does_not_depend_on_encodings() -> None:
    plain, coded = (proxy_validity(results(codes=codes).records) for codes in ({}, CODES))
    assert plain == coded != []


def test_without_judgments_or_with_few_columns_nothing_is_claimed() -> None:
    assert proxy_validity(results(judged=False).records) == []
    assert proxy_validity(results((16, 384)).records) == []
    assert [validity.proxy for validity in proxy_validity(results().records)] == list(PROXIES)


def test_the_shipped_figures_are_whole_and_say_where_they_come_from() -> None:
    shipped = benchmark()
    assert "SciFact" in shipped.source
    assert {validity.proxy for validity in shipped.validity} == set(PROXIES)
    assert sum(validity.proxy == "overlap@10" for validity in shipped.validity) >= 3
    for validity in shipped.validity:
        assert -1 <= validity.rank_correlation <= 1
        assert validity.columns >= 6
    edges = [band.low for band in shipped.overlap_bands] + [shipped.overlap_bands[-1].high]
    assert edges == sorted(set(edges))
    assert shipped.band_at(0.85) in shipped.overlap_bands
    assert shipped.band_at(1.0) is None
