"""INT96 timestamps as Spark writes them by default: nothing wraps, nothing is cut without a word."""

from __future__ import annotations

import struct
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adaptor.errors import InputError
from jobs.config.sections import SourceSection
from jobs.sources.source import open_source

FAR = [datetime(9999, 12, 31, 1, 2, 3, 456789), datetime(1, 1, 1), None, datetime(2024, 5, 6, 7, 8, 9, 1)]


def columns(times: Any) -> pa.Table:
    """The same times alone, in a list, a struct, a map and a struct in a list."""
    kind = times.type
    return pa.table(
        {
            "id": [str(row) for row in range(len(times))],
            "alone": times,
            "listed": pa.array([[t, None] for t in times], pa.list_(kind)),
            "packed": pa.array([{"t": t, "n": 1} for t in times], pa.struct([("t", kind), ("n", "i4")])),
            "mapped": pa.array([[("a", t)] for t in times], pa.map_(pa.string(), kind)),
            "deep": pa.array([[{"t": t}] for t in times], pa.list_(pa.struct([("t", kind)]))),
        }
    )


def read(folder: Path, batch_rows: int = 3) -> pa.Table:
    source = open_source(SourceSection(uri=str(folder)))
    (shard,) = source.shards()
    groups = range(len(source.describe(shard).row_group_rows))
    return pa.Table.from_batches([batch.table for batch in source.read(shard, groups, batch_rows)])


@pytest.mark.parametrize("store_schema", [True, False])
def test_times_far_from_today_come_out_as_they_are(tmp_path: Path, store_schema: bool) -> None:
    given = columns(pa.array(FAR, pa.timestamp("us")))
    pq.write_table(
        given,
        tmp_path / "a.parquet",
        use_deprecated_int96_timestamps=True,
        store_schema=store_schema,
        row_group_size=2,
    )
    assert pq.ParquetFile(tmp_path / "a.parquet").metadata.schema.column(1).physical_type == "INT96"
    assert read(tmp_path).to_pylist() == given.to_pylist()


@pytest.mark.parametrize("kind", ["alone", "listed", "packed", "mapped", "deep"])
def test_digits_are_found_however_deep_they_lie(tmp_path: Path, kind: str) -> None:
    moments = pa.array([1_700_000_000_000_000_000, 1_700_000_000_000_000_001], pa.timestamp("ns"))
    content = columns(moments).select(["id", kind])
    pq.write_table(content, tmp_path / "a.parquet", use_deprecated_int96_timestamps=True)
    with pytest.raises(InputError, match=rf"column '{kind}.*finer than a micro"):
        read(tmp_path)


@pytest.mark.parametrize("nanoseconds", [0, 1, 999])
def test_digits_of_times_that_nanoseconds_do_not_reach(tmp_path: Path, nanoseconds: int) -> None:
    content = pa.table({"id": ["a"], "when": pa.array([0], pa.timestamp("ns"))})
    file = tmp_path / "a.parquet"
    options = {"use_dictionary": False, "compression": "none", "write_statistics": False, "store_schema": False}
    pq.write_table(content, file, use_deprecated_int96_timestamps=True, **options)
    epoch, year_3000 = struct.pack("<qi", 0, 2_440_588), struct.pack("<qi", nanoseconds, 2_816_788)
    assert file.read_bytes().count(epoch) == 1
    file.write_bytes(file.read_bytes().replace(epoch, year_3000))
    if nanoseconds:
        with pytest.raises(InputError, match=r"column 'when' .* finer than a micro"):
            read(tmp_path)
    else:
        assert read(tmp_path).column("when").to_pylist() == [datetime(3000, 1, 1)]


@pytest.mark.parametrize("row", [0, 5])
def test_digits_that_microseconds_cannot_hold_are_refused(tmp_path: Path, row: int) -> None:
    moments = [1_700_000_000_000_000_000] * 6
    moments[row] += 1
    content = pa.table({"id": [str(n) for n in range(6)], "when": pa.array(moments, pa.timestamp("ns"))})
    pq.write_table(content, tmp_path / "a.parquet", use_deprecated_int96_timestamps=True, row_group_size=4)
    with pytest.raises(InputError, match=rf"a\.parquet, row group {row // 4}: column 'when' .* finer than a micro"):
        read(tmp_path)


def test_nanoseconds_of_another_kind_keep_their_digits(tmp_path: Path) -> None:
    content = pa.table({"id": ["a"], "when": pa.array([1_700_000_000_000_000_001], pa.timestamp("ns"))})
    pq.write_table(content, tmp_path / "a.parquet")
    assert read(tmp_path).column("when").cast(pa.int64()).to_pylist() == [1_700_000_000_000_000_001]
