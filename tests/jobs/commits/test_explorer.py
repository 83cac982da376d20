"""The walk through all interleavings finds commits that are wrong on purpose."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.commits import commit as product
from jobs.commits import work_items
from jobs.commits.ledger import LedgerRecord, commit
from jobs.commits.work_items import WorkItem
from jobs.outputs.output_format import Written
from jobs.outputs.publish import publish
from jobs.storage.objects import ObjectInfo, Objects
from tests.jobs.commits.interleaving import Commit, Direct, Tape
from tests.jobs.commits.test_commit_model import NEW, OLD, SOURCE, Explorer, done, item, rows


def _with_one_place_for_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that slept through a change of its shard puts its old rows over the new ones, and dies."""

    def publish_anyway(output_version: Objects, key: str, written: Written, _seen: object) -> bool:
        publish(output_version, key, written)
        return True

    monkeypatch.setattr(work_items, "output_key", lambda *_: "data/a.parquet")
    monkeypatch.setattr(product, "publish_over", publish_anyway)


def _with_the_record_first(monkeypatch: pytest.MonkeyPatch) -> None:
    run, publish_over = Commit.run, vars(product)["publish_over"]
    records: list[LedgerRecord] = []

    def run_with(self: Commit, asked: Tape | Direct) -> None:
        records.append(self.record)
        run(self, asked)

    def publish_late(output_version: Objects, key: str, written: Written, seen: ObjectInfo | None) -> bool:
        commit(output_version, records[-1])
        return bool(publish_over(output_version, key, written, seen))

    monkeypatch.setattr(Commit, "run", run_with)
    monkeypatch.setattr(product, "publish_over", publish_late)


def _with_one_place_for_rejected_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that slept through a change of its shard puts its old rejected rows over the new ones, and dies."""
    monkeypatch.setattr(WorkItem, "quarantine", "_quarantine/a.parquet")


@pytest.mark.parametrize(
    "defect", [_with_one_place_for_outputs, _with_the_record_first, _with_one_place_for_rejected_rows]
)
def test_the_explorer_finds_defects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, defect: Callable[[pytest.MonkeyPatch], None]
) -> None:
    before = {**done(b"version 0", tmp_path), SOURCE: OLD}
    defect(monkeypatch)
    workers = [Commit(item(v), rows(v), tmp_path, rejected=b"bad rows of " + v) for v in (OLD, NEW)]
    with pytest.raises(AssertionError):
        list(Explorer(workers, before, change=NEW).ends())
