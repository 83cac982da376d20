"""INT96 timestamps as Spark writes them by default: nothing wraps, nothing is cut without a word."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adaptor.errors import InputError
from jobs.config.sections import FilesystemOptions
from jobs.store.objects import open_objects
from jobs.store.shards import list_shards, open_parquet
from jobs.store.vectors import read_batches

FAR = [datetime(9999, 12, 31, 1, 2, 3, 456789), datetime(1, 1, 1), None, datetime(2024, 5, 6, 7, 8, 9, 1)]


def columns(times: Any) -> pa.Table:
    """The same times alone, in a list, a struct, a map and a struct in a list."""
    return pa.table(
        {
            "id": [str(row) for row in range(len(times))],
            "alone": times,
            "listed": pa.array([[t, None] for t in times], pa.list_(pa.timestamp("us"))),
            "packed": pa.array([{"t": t, "n": 1} for t in times], pa.struct([("t", pa.timestamp("us")), ("n", "i4")])),
            "mapped": pa.array([[("a", t)] for t in times], pa.map_(pa.string(), pa.timestamp("us"))),
            "deep": pa.array([[{"t": t}] for t in times], pa.list_(pa.struct([("t", pa.timestamp("us"))]))),
        }
    )


def read(folder: Path, batch_rows: int = 3) -> pa.Table:
    objects = open_objects(str(folder), FilesystemOptions())
    (shard,) = list_shards(objects)
    with open_parquet(objects, shard.key) as file:
        groups = range(file.num_row_groups)
    return pa.Table.from_batches([batch.table for batch in read_batches(objects, shard, groups, batch_rows)])


@pytest.mark.parametrize("store_schema", [True, False])
def test_times_far_from_today_come_out_as_they_are(tmp_path: Path, store_schema: bool) -> None:
    given = columns(pa.array(FAR, pa.timestamp("us")))
    pq.write_table(
        given, tmp_path / "a.parquet", use_deprecated_int96_timestamps=True, store_schema=store_schema, row_group_size=2
    )
    assert pq.ParquetFile(tmp_path / "a.parquet").metadata.schema.column(1).physical_type == "INT96"
    assert read(tmp_path).to_pylist() == given.to_pylist()


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
