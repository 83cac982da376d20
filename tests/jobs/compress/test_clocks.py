"""Clocks that are wrong, or disagree, change nothing: no time is compared with another, and none is written."""

from __future__ import annotations

import os
import time

import pytest
from botocore.exceptions import ClientError

from adaptor.errors import InputError
from jobs.commits.ledger import list_names, output_keys
from jobs.commits.names import LEDGER
from jobs.commits.work_items import Planner, WorkItem, WorkPlan
from jobs.compress.shard import ShardCompressor
from jobs.sources.source import open_source
from jobs.storage.s3_errors import translated
from tests.jobs.compress.workplace import Workplace

CENTURY = 100 * 365 * 86_400


def _planned(place: Workplace) -> WorkPlan:
    there = place.output_version()
    outputs = set(output_keys(there, ".parquet"))
    return Planner(1 << 40, ".parquet").plan(place.shards(), list_names(there), outputs, {})


def _compress(place: Workplace, items: tuple[WorkItem, ...]) -> None:
    compressor = ShardCompressor(place.config())
    for item in items:
        compressor.compress(item)


@pytest.mark.parametrize(("first", "second"), [(CENTURY, -CENTURY), (-CENTURY, CENTURY)])
def test_a_shard_that_changes_into_the_past_or_future_is_noticed(workplace: Workplace, first: int, second: int) -> None:
    shard = workplace.source / "a.parquet"
    before, now = shard.read_bytes(), time.time()
    os.utime(shard, (now, now + first))
    _compress(workplace, _planned(workplace).todo)
    assert (len(_planned(workplace).done), len(_planned(workplace).todo)) == (3, 0)
    planned = _planned(workplace).done[0].shard
    shard.write_bytes(before)  # other rows may be as many bytes
    os.utime(shard, (now, now + second))
    (todo,) = _planned(workplace).todo
    assert (todo.shard.key, len(_planned(workplace).superseded)) == ("a.parquet", 1)
    with pytest.raises(InputError, match=r"a\.parquet changed while it was read"):
        open_source(workplace.config().source).check_unchanged(planned)


def test_machines_whose_clocks_disagree_write_the_same(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    real = time.time
    for skew in (0, -CENTURY, CENTURY // 2):
        monkeypatch.setattr(time, "time", lambda skew=skew: real() + skew)
        for key in workplace.bytes_below(LEDGER):
            workplace.output_version().delete(key)
        _compress(workplace, _planned(workplace).todo)
        written.append(workplace.bytes_below("data/", LEDGER))
    assert written[0] == written[1] == written[2]
    assert len(written[0]) == 6


def test_a_server_that_minds_the_clock_is_understood() -> None:
    answer = {"Error": {"Code": "RequestTimeTooSkewed"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
    told = translated(ClientError(answer, "PutObject"), "put_object s3://b/k", "b")
    assert isinstance(told, InputError)
    assert "this machine's clock and the server's differ too much" in str(told)
