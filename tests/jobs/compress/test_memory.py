"""A worker that nears the end of its memory takes smaller batches, and its output is the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from jobs.commits.work_items import WorkItem
from jobs.compress import memory
from jobs.compress.memory import Limit, memory_limits, scarce
from jobs.compress.shard import ShardCompressor
from jobs.sources.source import Batch
from tests.jobs.compress.workplace import Workplace, table


def resident() -> int:
    """Bytes of memory that this process holds."""
    return int(psutil.Process().memory_info().rss)


def _compress(place: Workplace, name: str, limits: list[Limit], after_batch: Any) -> tuple[list[int], dict[str, bytes]]:
    """Rows of each batch that was read, and the files that came out."""
    sections = {"output": {"uri": str(place.root / name), "row_group_rows": 5000}, "reading": {"batch_rows": 16_384}}
    compressor = ShardCompressor(place.config(**sections), limits)
    read: list[int] = []
    validate = compressor._reasons

    def judged(item: WorkItem, batch: Batch, unusable_vectors: dict[int, str]) -> dict[int, str]:
        read.append(batch.table.num_rows)
        after_batch()
        return validate(item, batch, unusable_vectors)

    compressor._reasons = judged  # type: ignore[method-assign]
    (shard,) = place.shards()
    compressor.compress(WorkItem(shard, None, shard.size))
    return read, place.bytes_below("data/", "_ledger/", **sections)


def test_a_worker_near_its_limit_takes_less_and_writes_the_same(tmp_path: Path) -> None:
    place = Workplace(tmp_path)
    place.put("a.parquet", table(70_000, 1), row_group_rows=70_000)
    _, calm = _compress(place, "calm", [], lambda: None)
    ballast: list[np.ndarray] = []
    limits = [(int((resident() + (250 << 20)) / 0.9), resident)]

    def grow() -> None:
        if not ballast:
            ballast.append(np.ones(400 << 20, np.uint8))

    read, files = _compress(place, "near", limits, grow)
    assert read[0] == 16_384
    assert read[-2] == 4096
    assert sum(read) == 70_000  # what was read again is not written again
    assert files == calm


def test_the_limits_of_this_machine_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert memory_limits()
    assert all(0 < used() < limit for limit, used in memory_limits())
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("900000\n")
    (tmp_path / "memory.stat").write_text("anon 5\ninactive_file 100000\nactive_file 7\n")
    monkeypatch.setattr(memory, "_CGROUP_2", tmp_path)
    monkeypatch.setattr(memory, "_CGROUP_1", tmp_path / "absent")
    limit, used = memory_limits()[-1]
    assert (limit, used()) == (950_000, 800_000)
    assert not scarce(memory_limits())
    (tmp_path / "memory.current").write_text("960000\n")
    assert scarce(memory_limits())
    (tmp_path / "memory.max").write_text("max\n")
    assert not scarce(memory_limits())
