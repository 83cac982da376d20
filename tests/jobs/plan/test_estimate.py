"""The arithmetic of plan against other ways to the same numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.config.plan import PlanConfig
from jobs.plan.calibration import Rates, Timing, fit_rates
from jobs.plan.estimate import estimate, split_sizes
from jobs.plan.report import make_notes
from jobs.plan.statistics import SourceStatistics, estimate_total

RATES = Rates(0.5, 4.0, 0.1, 3.0, 100.0, 2, 0.0)


def statistics(sizes: list[int], local: bool = True) -> SourceStatistics:
    """A source of 1,000 rows for each shard."""
    return SourceStatistics(
        sizes=np.array(sizes),
        rows=1000.0 * len(sizes),
        rows_error=0.0,
        row_groups=4.0,
        columns=3,
        buffer_bytes=8 << 20,
        local=local,
        reads_measured=False,
    )


def config(workers: int, prices: Mapping[str, float] | None = None, **machines: float) -> PlanConfig:
    """One-core workers, no start-up unless it is given."""
    given = {
        "describe": {"rows": [10], "dim": 4, "output_dim": 2},
        "cluster": {"workers": workers},
        "machines": {"startup_seconds": 0, **machines},
        "reading": {"split_bytes": 1 << 40},
        "prices": prices or {},
    }
    return PlanConfig.model_validate(given)


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
    slow = estimate(statistics(sizes), RATES, config(2))
    assert slow.bound == "workers"
    assert slow.wall_seconds == pytest.approx(4 * 4.5)
    assert slow.cpu_hours == pytest.approx(8 * 3.1 / 3600)
    network = estimate(statistics(sizes), RATES, config(8, network_gbit=1))
    assert network.bound == "network"
    assert network.wall_seconds == pytest.approx(8 * 8)
    two = estimate(statistics(sizes), RATES, config(8, network_gbit=1, count=2))
    assert two.wall_seconds == pytest.approx(8 * 8 / 2)
    waiting = estimate(statistics(sizes, local=False), RATES, config(2, request_seconds=1.0))
    assert waiting.wall_seconds > slow.wall_seconds + 4 * 5


def test_a_source_in_few_pieces_differs_from_an_even_one() -> None:
    assert estimate(statistics([10**9] * 3), RATES, config(2)).longest_share == pytest.approx(2 / 3)
    assert estimate(statistics([10**9] * 300), RATES, config(2)).longest_share < 0.01


def test_notes_are_for_runs_that_are_more_than_start_up_and_warn_of_unsure_measurements() -> None:
    few = estimate(statistics([10**9] * 3), RATES, config(2))  # 9 s
    for startup, expected in ((4.0, 1), (10.0, 0)):
        given = config(2, startup_seconds=startup)
        notes = make_notes(given, RATES, [replace(few, wall_seconds=few.wall_seconds + startup)], 0)
        assert sum("use fewer workers" in note for note in notes) == expected
        assert not any("measurements differ" in note for note in notes)
        (*_, note) = make_notes(given, replace(RATES, spread=0.51), [], 0)
        assert note.startswith("the measurements differ by 51%")


def test_money_is_time_requests_and_bytes() -> None:
    prices = {"cpu_hour": 3600, "put_per_1000": 1000, "get_per_1000": 10, "transfer_gb": 2, "storage_gb_month": 5}
    priced = estimate(statistics([10**9] * 4, local=False), RATES, config(2, prices))
    costs, requests, gigabytes = priced.costs, priced.requests, 4 + priced.output_bytes / 1e9
    assert costs["machines"] == pytest.approx(math.ceil(priced.wall_seconds) * 2)
    assert costs["requests"] == pytest.approx(requests.put + requests.list + requests.get / 100)
    assert costs["transfer"] == pytest.approx(gigabytes * 2)
    assert costs["total"] == pytest.approx(sum(costs[part] for part in ("machines", "requests", "transfer")))
    assert costs["output_per_month"] == pytest.approx(priced.output_bytes / 1e9 * 5)
