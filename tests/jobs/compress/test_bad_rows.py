"""Rows and shards that cannot be used: they end the job, or they are set aside with their reason, and never vanish."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adaptor.errors import InputError
from jobs.commits.names import LEDGER
from jobs.commits.work_items import WorkItem
from jobs.compress.report import Result, Totals, report
from jobs.compress.shard import ShardCompressor
from tests.jobs.compress.workplace import DIM, OUTPUT_DIM, Workplace, lists, table, vectors

SET_ASIDE: dict[str, Any] = {"reading": {"bad_rows": "quarantine"}}
REASONS = {
    0: "null vector",
    3: "wrong length 2 (expected 12)",
    12: "null element",
    13: "NaN",
    21: "infinite",
    22: "zero vector",
    23: "null id",
    24: "overflow",
}


@pytest.fixture
def spoiled(workplace: Workplace) -> Workplace:
    """The workplace with a shard of 26 rows, 8 of them bad, in row groups of 10."""
    rows: list[list[float | None] | None] = [*vectors(26, 4).tolist()]
    rows[0], rows[3], rows[12] = None, [1.0, 2.0], [None, *[1.0] * 11]
    rows[13], rows[21], rows[22], rows[24] = [np.nan] * DIM, [np.inf] * DIM, [0.0] * DIM, [3e38] * DIM
    ids = [None if row == 23 else f"id-{row}" for row in range(26)]
    content = table(26, 4).set_column(2, "vector", lists(rows)).set_column(1, "id", pa.array(ids))
    workplace.put("bad.parquet", content.append_column("reason", pa.array(["mine"] * 26)))
    return workplace


@pytest.mark.usefixtures("ray_cluster")
def test_stop_names_file_row_group_row_and_reason(spoiled: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(
        InputError, match=r"bad\.parquet, row group 0, row 0 \(id 'id-0'\): null vector; repair the row"
    ):
        spoiled.compress()
    assert not [key for key in spoiled.bytes_below("data/") if "bad" in key]
    assert json.loads(spoiled.output_version().read("summary.json"))["status"] == "failed"
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.usefixtures("ray_cluster")
def test_quarantine_keeps_the_rows_as_they_were(spoiled: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    assert spoiled.compress(**SET_ASIDE) == 0
    source, output = pq.read_table(spoiled.source / "bad.parquet"), spoiled.output("bad.parquet")
    record = next(r for r in spoiled.records() if r.shard == "bad.parquet")
    assert record.quarantine is not None
    aside = pq.read_table(spoiled.output_version().path(record.quarantine))
    assert aside.column_names == [*source.column_names, "reason_", "row_group", "row"]
    found = {
        10 * group + row: reason
        for group, row, reason in zip(*(aside[n].to_pylist() for n in ("row_group", "row", "reason_")), strict=True)
    }
    assert found == REASONS
    assert aside.drop(["reason_", "row_group", "row", "vector"]).equals(source.take(list(REASONS)).drop(["vector"]))
    assert str(aside["vector"].to_pylist()) == str(source.take(list(REASONS))["vector"].to_pylist())
    good = [row for row in range(26) if row not in REASONS]
    assert output.drop(["vector"]).equals(source.take(good).drop(["vector"]))
    expected = spoiled.adaptor.transform(vectors(26, 4), dim=OUTPUT_DIM)[good]
    np.testing.assert_allclose(np.array(output["vector"].to_pylist()), expected, atol=1e-6)
    assert (record.rows_in, record.rows_out, record.rows_quarantined) == (26, 18, 8)
    assert "8 rows went into quarantine in this run" in capsys.readouterr().out
    spoiled.put("bad.parquet", table(4, 4))  # repaired: nothing stays behind, nor what a killed worker left
    spoiled.output_version().put(f"_quarantine/bad.{0:016x}.parquet", b"rows of a version that was never recorded")
    assert spoiled.compress(**SET_ASIDE) == 0
    assert spoiled.bytes_below("_quarantine/") == {}


@pytest.mark.usefixtures("ray_cluster")
def test_an_unreadable_shard_fails_alone(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    content = (workplace.source / "a.parquet").read_bytes()
    (workplace.source / "broken.parquet").write_bytes(content[: len(content) // 2])
    workplace.put("other.parquet", pa.table({"key": ["x"], "vector": lists(vectors(1).tolist())}))
    assert workplace.compress(**SET_ASIDE) == 1
    assert len(workplace.records()) == 3
    summary = json.loads(workplace.output_version().read("summary.json"))
    assert summary["status"] == "incomplete"
    assert {failure["shard"] for failure in summary["failed"]} == {"broken.parquet", "other.parquet"}
    printed = capsys.readouterr().out
    assert "2 work items failed" in printed
    assert "broken.parquet is truncated" in printed
    assert "other.parquet: no column 'id'" in printed
    assert workplace.verify()[0] == 1
    with pytest.raises(InputError, match=r"broken\.parquet is truncated"):
        workplace.compress()
    workplace.put("broken.parquet", table(3, 11))
    workplace.put("other.parquet", table(3, 12))
    assert workplace.compress() == 0
    assert workplace.verify()[0] == 0


def test_a_shard_that_changes_while_it_is_read_is_not_committed(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    compressor = ShardCompressor(workplace.config())
    planned = workplace.shards()[0]
    workplace.put("a.parquet", table(25, seed=99))
    with pytest.raises(InputError, match=r"a\.parquet changed while it was read"):
        compressor.compress(WorkItem(planned, None, planned.size))
    (workplace.source / "a.parquet").unlink()
    with pytest.raises(InputError, match=r"a\.parquet does not exist any more"):
        compressor.compress(WorkItem(planned, None, planned.size))
    assert workplace.bytes_below("data/", LEDGER) == {}


def test_a_sparing_attempt_reads_the_smallest_batches_and_writes_the_same(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workplace.put("a.parquet", table(9000, seed=1), row_group_rows=9000)
    item = WorkItem(workplace.shards()[0], None, 1)
    compressor = ShardCompressor(workplace.config(reading={"batch_rows": 9000}))
    asked: list[tuple[int, bool]] = []
    read = compressor.context.source.read

    def noted(*arguments: Any, plain: bool) -> Any:
        asked.append((arguments[2](), plain))
        return read(*arguments, plain=plain)

    monkeypatch.setattr(compressor.context.source, "read", noted)
    record = compressor.compress(item)
    compressor.low_memory = True
    assert compressor.compress(item) == record
    assert asked == [(12_288, False), (4096, True)]


def test_two_attempts_at_one_item_are_harmless(workplace: Workplace) -> None:
    planned = workplace.shards()[0]
    item = WorkItem(planned, None, planned.size)
    first = ShardCompressor(workplace.config()).compress(item)
    content = workplace.bytes_below("data/", LEDGER)
    assert ShardCompressor(workplace.config()).compress(item) == first
    assert workplace.bytes_below("data/", LEDGER) == content
    other = replace(first, sha256="0" * 64, versions={"numpy": "of another machine"})
    workplace.output_version().put(first.name.key, other.to_json())
    assert ShardCompressor(workplace.config()).compress(item) == first
    assert workplace.bytes_below("data/", LEDGER) == content


def test_numbers_that_half_precision_cannot_hold_are_counted(workplace: Workplace) -> None:
    workplace.set_adaptor(metric="dot")
    rows = vectors(9, 4)
    rows[[2, 5]] *= 60_000
    rows[7] = 3e38  # overflows: a bad row, whose numbers do not count
    workplace.put("a.parquet", table(9, 4).set_column(2, "vector", lists(rows.tolist())))
    sections = {"output": {"encoding": "float16"}, **SET_ASIDE}
    record = ShardCompressor(workplace.config(source={"metric": "dot"}, **sections)).compress(
        _item(workplace, "a.parquet")
    )
    exact = workplace.exact(rows[[2, 5]])
    assert record.values_clipped == np.count_nonzero(np.abs(exact) > 65_504) > 2
    totals = Totals(
        adaptor_id="",
        dim=OUTPUT_DIM,
        shards=1,
        notes=[],
        work_items_done_before=0,
        work_items_left=0,
        shards_removed_from_source=0,
    )
    for _ in range(2):
        totals.add(Result(_item(workplace, "a.parquet"), record, 1, 1.0, {}), record)
    assert totals.summary()["values_clipped"] == 2 * record.values_clipped
    assert f"{2 * record.values_clipped} numbers beyond what the encoding holds" in report("place", totals, None, 1.0)


def _item(workplace: Workplace, key: str) -> WorkItem:
    (shard,) = (shard for shard in workplace.shards() if shard.key == key)
    return WorkItem(shard, None, shard.size)
