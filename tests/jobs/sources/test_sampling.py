"""The sample: exact where it is promised, equal probabilities for all rows, and the rows that were asked for."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptor.errors import InputError
from jobs.config.sections import SourceSection
from jobs.sources.sampling import choose_rows, read_rows
from jobs.sources.source import open_source
from tests.jobs.sources.parquet_files import table, write

_COUNTS = st.lists(st.lists(st.integers(0, 50), max_size=6), max_size=12)


@given(_COUNTS, st.integers(1, 300), st.integers(1, 80), st.integers(0, 5))
@settings(max_examples=400, deadline=None)
def test_rows_exist_once_and_the_limits_hold(counts: list[list[int]], sample: int, groups: int, seed: int) -> None:
    chosen = choose_rows(counts, sample, groups, seed)
    total, nonempty = sum(map(sum, counts)), sum(rows > 0 for shard in counts for rows in shard)
    read = set()
    for shard, rows in chosen.items():
        assert rows.dtype == np.int64
        assert len(rows)
        assert (np.diff(rows) > 0).all()
        assert rows[0] >= 0
        assert rows[-1] < sum(counts[shard])
        read |= {(shard, int(group)) for group in np.searchsorted(np.cumsum(counts[shard]), rows, side="right")}
    taken = sum(map(len, chosen.values()))
    if nonempty <= groups:
        assert taken == min(sample, total)
    assert len(read) <= max(groups, nonempty if nonempty <= groups else 0)
    again = choose_rows(counts, sample, groups, seed)
    assert {shard: rows.tolist() for shard, rows in again.items()} == {s: rows.tolist() for s, rows in chosen.items()}


def _frequencies(counts: list[list[int]], sample: int, groups: int, draws: int) -> tuple[np.ndarray, np.ndarray]:
    """How often each row was drawn, and the size of each sample."""
    starts = np.cumsum([0, *map(sum, counts)])
    hits, sizes = np.zeros(starts[-1]), np.zeros(draws)
    for seed in range(draws):
        for shard, rows in choose_rows(counts, sample, groups, seed).items():
            hits[starts[shard] + rows] += 1
            sizes[seed] += len(rows)
    return hits, sizes


@pytest.mark.parametrize(
    ("counts", "sample", "groups", "expected"),
    [
        ([[40, 10], [30], [1, 1, 18]], 20, 100, 20),  # few row groups: exact
        ([[20] * 5, [20] * 5], 30, 4, 30),  # equal row groups
        ([[200, 3], [5, 40, 40], [1] * 10, [17] * 4], 50, 7, 50),  # one giant, many tiny
        ([[10, 1], [10, 1], [10, 1], [10, 1]], 12, 3, 12),  # a pattern in the source
        ([[3] * 30], 60, 10, 30),  # more asked than a third of the row groups hold
    ],
)
def test_every_row_is_equally_likely(counts: list[list[int]], sample: int, groups: int, expected: int) -> None:
    draws = 4000
    hits, sizes = _frequencies(counts, sample, groups, draws)
    probability = expected / len(hits)
    assert abs(sizes.mean() - expected) < 0.02 * expected
    # 4.5 standard deviations for each of up to some hundred rows: fails by chance once in hundreds of code changes.
    assert abs(hits / draws - probability).max() < 4.5 * np.sqrt(probability * (1 - probability) / draws)


def test_few_row_groups_give_every_set_of_rows_alike() -> None:
    pairs = [tuple(choose_rows([[2, 1], [2]], 2, 10, seed).items()) for seed in range(5000)]
    named = [tuple((shard, row) for shard, rows in pair for row in rows.tolist()) for pair in pairs]
    seen = {pair: named.count(pair) for pair in set(named)}
    assert len(seen) == 10
    assert min(seen.values()) > 400
    assert max(seen.values()) < 600


def test_equal_row_groups_give_exactly_the_sample() -> None:
    for seed in range(20):
        chosen = choose_rows([[1000] * 10] * 50, 5000, 64, seed)
        assert sum(map(len, chosen.values())) == 5000


def test_memory_follows_the_sample_not_the_source() -> None:
    counts = [[100_000] * 10] * 1000  # a billion rows
    for groups in (100, 20_000):
        tracemalloc.start()
        chosen = choose_rows(counts, 10_000, groups, 0)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert sum(map(len, chosen.values())) == 10_000
        assert peak < 10_000_000


def test_read_rows(tmp_path: Path) -> None:
    content = table(100)
    write(tmp_path / "a.parquet", content, row_group_size=30)
    section = SourceSection(uri=str(tmp_path))
    source = open_source(section)
    (shard,) = source.shards()
    rows = np.array([0, 29, 30, 31, 95, 99])
    ids, vectors, reasons = read_rows(source, shard, section, rows)
    assert ids == [f"row-{row}" for row in rows]
    assert vectors.tolist() == [content.column("vector")[row].as_py() for row in rows.tolist()]
    assert reasons == {}
    none, empty, _ = read_rows(source, shard, section, np.array([], dtype=np.int64), dim=4)
    assert (len(none), empty.shape) == (0, (0, 4))
    with pytest.raises(InputError, match=r"a\.parquet has 100 rows, row 100 was asked"):
        read_rows(source, shard, section, np.array([100]))


def test_read_rows_reports_bad_ones(tmp_path: Path) -> None:
    rows = [[1.0, 2.0], None, [0.0, 0.0], [1.0], [3.0, 4.0]]
    write(tmp_path / "a.parquet", pa.table({"id": range(5), "vector": rows}), row_group_size=2)
    section = SourceSection(uri=str(tmp_path))
    source = open_source(section)
    ids, vectors, reasons = read_rows(source, source.shards()[0], section, np.arange(1, 5), dim=2)
    assert ids == ["1", "2", "3", "4"]
    assert reasons == {0: "null vector", 1: "zero vector", 2: "wrong length 1 (expected 2)"}
    assert vectors.tolist() == [[0, 0], [0, 0], [0, 0], [3, 4]]


def test_read_rows_with_ids_in_a_dictionary_per_row_group(tmp_path: Path) -> None:
    content = table(12)
    content = content.set_column(0, "id", content.column("id").combine_chunks().dictionary_encode())
    write(tmp_path / "a.parquet", content, row_group_size=4)
    section = SourceSection(uri=str(tmp_path))
    source = open_source(section)
    ids, vectors, _ = read_rows(source, source.shards()[0], section, np.array([1, 6, 11]))
    assert ids == ["row-1", "row-6", "row-11"]
    assert len(vectors) == 3
