"""How the planned work spreads over workers, by simulation: whoever is free takes the next group of work items."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from itertools import permutations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.commits.work_items import Planner, WorkItem, undecided
from jobs.compress.blocks import blocks, work
from jobs.plan.estimate import makespan
from jobs.sources.source import Shard, ShardInfo

MB, GB = 10**6, 1 << 30
PARTS = 4096


def two_decades(count: int, smallest: int) -> list[int]:
    """Sizes from `smallest` to a hundred times as much, evenly on a logarithmic scale, in random order."""
    draws = np.random.default_rng(count)
    return [int(size) for size in draws.permutation(np.geomspace(smallest, 100 * smallest, count))]


def planned(sizes: Sequence[int], split_bytes: int, row_group_bytes: int) -> tuple[WorkItem, ...]:
    """The work items of shards with these sizes, as compress plans them."""
    shards = [Shard(f"{number:06}.parquet", size, "1") for number, size in enumerate(sizes)]
    described = {}
    for shard in undecided(shards, [], split_bytes):
        groups = -(-shard.size // row_group_bytes)
        described[shard.key] = ShardInfo(0, (0,) * groups, (row_group_bytes,) * groups, pa.schema([]))
    return Planner(split_bytes, ".parquet").plan(shards, [], (), described).todo


@pytest.mark.parametrize(
    ("sizes", "split_bytes", "workers"),
    [
        *((two_decades(1000, MB), GB, workers) for workers in (2, 3, 8, 16)),  # up to 100 MB: 21 GB in all
        *((two_decades(1000, 100 * MB), GB, workers) for workers in (2, 16, 64, 150)),  # up to 10 GB: 2 TB, split
        *((two_decades(8000, 5 * MB), GB, workers) for workers in (16, 300, 900)),  # more items than groups
        ([5000 * MB, *[10 * MB] * 50], GB // 4, 4),  # one shard outweighs all others together
    ],
    ids=lambda value: str(value) if isinstance(value, int) else f"{len(value)} shards",
)
def test_the_last_worker_ends_within_a_tenth_of_an_even_spread(
    sizes: list[int], split_bytes: int, workers: int
) -> None:
    items = planned(sizes, split_bytes, row_group_bytes=64 << 20)
    groups = blocks(items, PARTS, workers)
    taken = makespan([work(group) for group in groups], workers)
    assert taken <= 1.1 * work(items) / workers
    assert len(groups) <= 2 * PARTS + 40 * workers


items_of_any_size = st.lists(st.integers(0, 10**9), min_size=1, max_size=200).map(
    lambda sizes: [WorkItem(Shard(f"{n}.parquet", size, "1"), None, size) for n, size in enumerate(sizes)]
)


@settings(deadline=None)  # the machine may be busy
@given(items_of_any_size, st.integers(1, 50), st.integers(1, 20))
def test_groups_hold_every_item_in_order_and_no_more_work_than_allowed(
    items: list[WorkItem], parts: int, workers: int
) -> None:
    groups = blocks(items, parts, workers)
    assert [item for group in groups for item in group] == items
    assert all(groups)
    left = work(items)
    for group in groups:
        assert len(group) == 1 or work(group) <= min(work(items) / parts, left / (4 * workers)) * (1 + 1e-9)
        left -= work(group)


@settings(deadline=None)
@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=30), st.integers(1, 8))
def test_a_schedule_is_between_its_bounds(seconds: list[float], workers: int) -> None:
    even = sum(seconds) / workers
    longest_first = makespan(sorted(seconds, reverse=True), workers)
    assert max(even, *seconds, 0) * (1 - 1e-9) <= longest_first <= (even + max(seconds)) * (1 + 1e-9)


@settings(deadline=None)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=6), st.integers(1, 3))
def test_longest_first_keeps_to_the_bound_of_graham(seconds: list[int], workers: int) -> None:
    best = min(makespan(order, workers) for order in permutations(seconds))
    assert makespan(sorted(seconds, reverse=True), workers) <= best * (4 / 3 - 1 / (3 * workers)) + 1e-9


@settings(deadline=None)
@given(st.lists(st.floats(0, 10), min_size=1, max_size=20), st.integers(1, 5))
def test_the_schedule_is_that_of_workers_who_take_what_is_next(seconds: list[float], workers: int) -> None:
    free = [(0.0, worker) for worker in range(workers)]  # the same by events, worker by worker
    for length in seconds:
        since, worker = heapq.heappop(free)
        heapq.heappush(free, (since + length, worker))
    assert makespan(seconds, workers) == pytest.approx(max(free)[0])
