"""Requests as they are estimated against those that a real S3 server saw."""

from __future__ import annotations

import re
import time
import urllib.request
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from jobs.commits.work_items import Planner, WorkItem, undecided
from jobs.compress.shard import ShardCompressor
from jobs.config.compress import CompressConfig
from jobs.config.plan import CalibrationSection
from jobs.plan.requests import Requests, count_requests
from jobs.plan.statistics import SourceStatistics, bytes_left, sample_source
from jobs.sources.source import open_source
from jobs.storage.adaptors import open_adaptor
from jobs.storage.open import open_objects
from jobs.storage.s3 import S3Objects
from tests.jobs.compress.workplace import Workplace, table
from tests.s3_server import S3Server

ROWS = 4000


def seen(server: S3Server, bucket: str) -> Counter[str]:
    """Requests of the bucket so far by class: `list`, `get` (with HEADs), `put` (with POSTs), once they stand still."""
    counts: Counter[str] = Counter()
    for _ in range(50):
        with urllib.request.urlopen(server.metrics, timeout=5) as answer:  # noqa: S310 - loopback
            text = answer.read().decode()
        before, counts = counts, Counter()
        pattern = rf'SeaweedFS_s3_request_total{{bucket="{bucket[5:]}",code="\d+",type="(\w+)"}} (\d+)'
        for kind, count in re.findall(pattern, text):
            counts[{"POST": "PUT"}.get(kind, kind).lower()] += int(count)
        if counts and counts == before:
            break
        time.sleep(0.1)
    return counts


def test_a_run_sends_what_was_estimated(tmp_path: Path, s3: S3Server, bucket: str) -> None:
    workplace = Workplace(tmp_path)
    for number in range(3):
        workplace.put(f"big-{number}.parquet", table(ROWS, seed=number, prefix=f"big-{number}-"), 1000)
    assert workplace.adaptor
    objects = open_objects(bucket, s3.options)
    for path in (*workplace.source.iterdir(), *(workplace.root / "adaptor").iterdir()):
        objects.put_file(str(path.relative_to(workplace.root)), path)
    section = {"filesystem": s3.options.model_dump()}
    config = CompressConfig.model_validate(
        {
            "source": {"uri": f"{bucket}/source", **section},
            "adaptor": {"uri": f"{bucket}/adaptor", **section},
            "output": {"dim": 5, "uri": f"{bucket}/output", **section},
        }
    )
    before = seen(s3, bucket)

    source = open_source(config.source)
    shards = source.shards()
    split = max(shard.size for shard in shards) - 1  # one is split
    described = {shard.key: source.describe(shard) for shard in undecided(shards, [], split)}
    work = Planner(split, ".parquet").plan(shards, [], (), described)
    compressor = ShardCompressor(config)
    records = [compressor.compress(item) for item in work.todo]

    found = seen(s3, bucket) - before
    expected = expectation(workplace, work.todo, sum(record.output_bytes for record in records), split)
    # The driver's own few requests are not sent here: seven lists of the output, its copy of the adaptor, four PUTs.
    assert found["list"] == expected.list - 7
    assert found["put"] == pytest.approx(expected.put - 4, rel=0.15)
    assert found["get"] == pytest.approx(expected.get - 12, rel=0.15)
    assert expected.footers == len(described) >= 1
    assert open_adaptor(config.adaptor, config.source).input_dim == 12


def expectation(workplace: Workplace, items: tuple[WorkItem, ...], output_bytes: int, split: int) -> Requests:
    """The estimate, from the files as they are."""
    section = workplace.config().source
    source = open_source(section)
    statistics = sample_source(source, section, bytes_left(source.shards(), []), CalibrationSection()).statistics
    assert statistics.columns == pq.ParquetFile(next(workplace.source.iterdir())).metadata.num_columns
    sizes = np.array([item.input_bytes for item in items])
    on_s3 = replace(statistics, buffer_bytes=S3Objects.buffer_bytes)
    return count_requests(on_s3, sizes, output_bytes, split, workers=1)


def test_large_outputs_go_up_in_parts() -> None:
    sizes = np.array([700 << 20, 70 << 20])
    source = SourceStatistics(
        sizes=sizes,
        rows=1000,
        rows_error=0,
        row_groups=1.0,
        columns=1,
        buffer_bytes=8 << 20,
        local=False,
        reads_measured=True,
    )
    counted = count_requests(source, sizes, sizes.sum() / 10, split_bytes=1 << 30, workers=1)
    # 70 MB: begin, three parts, end; 7 MB: one PUT; a record each; the driver's four.
    assert counted.put == (1 + 3 + 1) + 1 + 2 + 4
