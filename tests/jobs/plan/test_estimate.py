"""The arithmetic of plan against other ways to the same numbers."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.config.plan import MachinesSection, PlanConfig, PricesSection
from jobs.plan.calibration import Rates, Timing, fit_rates
from jobs.plan.estimate import Cluster, SourceStatistics, estimate, split_sizes
from jobs.plan.report import advice, duration, size
from jobs.plan.statistics import estimate_total

RATES = Rates(0.5, 4.0, 0.1, 3.0, 100.0, 2, 0.0)


def statistics(sizes: list[int], object_store: bool = False) -> SourceStatistics:
    """A source of 1,000 rows for each shard."""
    return SourceStatistics(np.array(sizes), 1000.0 * len(sizes), 0.0, 4.0, 3, 0.9, object_store, False, 8 << 20)


def cluster(workers: int, **machines: float) -> Cluster:
    """One-core workers."""
    return Cluster(workers, 1, MachinesSection.model_validate({"startup_seconds": 0, **machines}))


def test_the_sum_is_exact_when_every_footer_was_read() -> None:
    assert estimate_total([3, 5], [10, 30], np.array([10, 30])) == (8.0, 0.0)


def test_the_interval_of_the_rows_holds_the_truth_as_often_as_it_says() -> None:
    draws = np.random.default_rng(0)
    sizes = np.exp(draws.uniform(np.log(1e6), np.log(1e8), 2000)).astype(np.int64)  # two decades apart
    rows = (sizes / 1600 * draws.normal(1, 0.05, 2000)).astype(np.int64)
    hits, trials = 0, 400
    for _ in range(trials):
        chosen = draws.choice(2000, 100, replace=False)
        total, error = estimate_total(rows[chosen].tolist(), sizes[chosen].tolist(), sizes)
        hits += abs(total - rows.sum()) <= error
        assert error < 0.05 * rows.sum()
    assert 0.9 <= hits / trials <= 0.99


@given(
    st.floats(0, 5), st.floats(0.1, 50), st.lists(st.integers(1_000_000, 10**9), min_size=2, max_size=6, unique=True)
)
@settings(deadline=None)
def test_rates_are_the_line_through_the_timings(item: float, gigabyte: float, sizes: list[int]) -> None:
    timings = [Timing(s, 10, 1000, item + gigabyte * s / 1e9, 2 * item + gigabyte * s / 1e9) for s in sizes]
    rates = fit_rates(timings, 2)
    for timing in timings:
        assert rates.item_seconds + rates.gb_seconds * timing.input_bytes / 1e9 == pytest.approx(timing.seconds, 1e-3)
    assert rates.output_bytes_per_row == 100


def test_rates_are_never_negative() -> None:
    rates = fit_rates([Timing(10**9, 1, 1, 1.0, 1.0), Timing(2 * 10**9, 1, 1, 3.0, 3.0)], 1)  # line through -1
    assert rates.item_seconds == 0
    assert rates.gb_seconds == pytest.approx(7 / 5)


@given(st.lists(st.integers(1, 10**10), min_size=1, max_size=20), st.integers(10**6, 10**9))
def test_work_items_are_as_large_as_allowed_and_nothing_is_lost(sizes: list[int], split: int) -> None:
    items = split_sizes(np.array(sizes), split)
    assert items.max() <= split
    assert 0 <= sum(sizes) - int(items.sum()) <= len(items)
    assert len(items) == sum(math.ceil(size / split) for size in sizes)


def test_time_is_that_of_the_workers_or_of_the_network() -> None:
    sizes = [10**9] * 8
    slow = estimate(statistics(sizes), RATES, cluster(2), 1 << 40, PricesSection())
    assert slow.bound == "workers"
    assert slow.wall_seconds == pytest.approx(4 * 4.5)
    assert slow.cpu_hours == pytest.approx(8 * 3.1 / 3600)
    network = estimate(statistics(sizes), RATES, cluster(8, network_gbit=1), 1 << 40, PricesSection())
    assert network.bound == "network"
    assert network.wall_seconds == pytest.approx(8 * 8)
    two = estimate(statistics(sizes), RATES, cluster(8, network_gbit=1, count=2), 1 << 40, PricesSection())
    assert two.wall_seconds == pytest.approx(8 * 8 / 2)
    waiting = estimate(statistics(sizes, True), RATES, cluster(2, request_seconds=1.0), 1 << 40, PricesSection())
    assert waiting.wall_seconds > slow.wall_seconds + 4 * 5


def test_a_store_in_few_pieces_is_told_from_an_even_one() -> None:
    assert estimate(
        statistics([10**9] * 3), RATES, cluster(2), 1 << 40, PricesSection()
    ).longest_share == pytest.approx(2 / 3)
    assert estimate(statistics([10**9] * 300), RATES, cluster(2), 1 << 40, PricesSection()).longest_share < 0.01


def test_advice_is_for_runs_that_are_more_than_start_up_and_warns_of_unsure_measurements() -> None:
    few = estimate(statistics([10**9] * 3), RATES, cluster(2), 1 << 40, PricesSection())  # 9 s
    for startup, told in ((4.0, 1), (10.0, 0)):
        given = {"describe": {"rows": [10], "dim": 4, "output_dim": 2}, "machines": {"startup_seconds": startup}}
        wall = few.wall_seconds + startup
        notes = advice(PlanConfig.model_validate(given), RATES, [replace(few, wall_seconds=wall)], 0)
        assert sum("use fewer workers" in note for note in notes) == told
        assert not any("measurements differ" in note for note in notes)
        (*_, note) = advice(PlanConfig.model_validate(given), replace(RATES, spread=0.51), [], 0)
        assert note.startswith("the measurements differ by 51%")


def test_money_is_time_requests_and_bytes() -> None:
    prices = PricesSection(cpu_hour=3600, put_per_1000=1000, get_per_1000=10, transfer_gb=2, storage_gb_month=5)
    found = estimate(statistics([10**9] * 4, True), RATES, cluster(2), 1 << 40, prices)
    gigabytes = 4 + found.output_bytes / 1e9
    assert found.costs["machines"] == pytest.approx(math.ceil(found.wall_seconds) * 2)
    assert found.costs["requests"] == pytest.approx(found.requests.put + found.requests.list + found.requests.get / 100)
    assert found.costs["transfer"] == pytest.approx(gigabytes * 2)
    assert found.costs["total"] == pytest.approx(sum(found.costs[k] for k in ("machines", "requests", "transfer")))
    assert found.costs["storage_month"] == pytest.approx(found.output_bytes / 1e9 * 5)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.5, "0.5 s"), (90, "90 s"), (600, "10 min"), (10_000, "2.78 h"), (1e6, "11.6 days")]
)
def test_durations_read_well(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("count", "text"), [(512, "512 bytes"), (6.144e12, "6.14 TB"), (1.5e9, "1.5 GB")])
def test_sizes_read_well(count: float, text: str) -> None:
    assert size(count) == text
