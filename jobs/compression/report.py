"""What compress tells at its end: totals of the run, for summary.json and for reading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from jobs.store.ledger import Record
from jobs.store.plan import Plan, WorkItem

_SHOWN = 20
#: Failures and shards with doubled ids that summary.json lists at most.
_LISTED = 10_000


@dataclass
class Totals:
    """What this run did, added up from the records. `doubled` and `failed` name shards, with count and reason."""

    items: int = 0
    rows_in: int = 0
    rows_out: int = 0
    rows_quarantined: int = 0
    duplicate_ids: int = 0
    input_bytes: int = 0
    output_bytes: int = 0
    files_removed: int = 0
    quarantine_files: int = 0
    failures: int = 0
    doubled: dict[str, int] = field(default_factory=dict)
    failed: list[dict[str, str]] = field(default_factory=list)

    def add(self, item: WorkItem, record: Record) -> None:
        """Count a finished work item."""
        self.items += 1
        self.rows_in += record.rows_in
        self.rows_out += record.rows_out
        self.rows_quarantined += record.rows_quarantined
        self.input_bytes += item.input_bytes
        self.output_bytes += record.output_bytes
        if record.duplicate_ids:
            self.duplicate_ids += record.duplicate_ids
            if len(self.doubled) < _LISTED:
                self.doubled[item.title] = record.duplicate_ids

    def fail(self, item: WorkItem, reason: str) -> None:
        """Count a work item that failed for good."""
        self.failures += 1
        if len(self.failed) < _LISTED:
            self.failed.append({"shard": item.title, "reason": reason})


def summary(work: Plan, totals: Totals) -> dict[str, Any]:
    """The fields of summary.json."""
    return {
        "status": "incomplete" if totals.failures else "complete",
        "work_items_done_before": len(work.done),
        "work_items_done": totals.items,
        "work_items_failed": totals.failures,
        "shards_removed_from_store": len({name.shard for name in work.removed}),
        "files_removed": totals.files_removed,
        "rows_in": totals.rows_in,
        "rows_out": totals.rows_out,
        "rows_quarantined": totals.rows_quarantined,
        "quarantine_files": totals.quarantine_files,
        "duplicate_ids": totals.duplicate_ids,
        "input_bytes": totals.input_bytes,
        "output_bytes": totals.output_bytes,
        "shards_with_duplicate_ids": totals.doubled,
        "failed": totals.failed,
    }


def report(uri: str, work: Plan, totals: Totals, notes: Sequence[str], seconds: float) -> str:
    """The same for reading; `uri` is the generation's."""
    lines = [f"note: {note}" for note in notes]
    if not work.todo:
        lines.append(f"nothing to do: all {len(work.done):,} work items are done")
    else:
        lines.append(
            f"{totals.items:,} work items compressed in {seconds:.1f} s ({len(work.done):,} were done before): "
            f"{totals.rows_in:,} vectors in, {totals.rows_out:,} out, "
            f"{totals.input_bytes / 1e9:.3g} GB in, {totals.output_bytes / 1e9:.3g} GB out"
        )
    if totals.quarantine_files:
        lines.append(
            f"{totals.rows_quarantined:,} rows went into quarantine in this run; with earlier runs, "
            f"{totals.quarantine_files:,} work items have rows there: {uri}/_quarantine/"
        )
    if totals.duplicate_ids:
        lines.append(
            f"{totals.duplicate_ids:,} rows have an id that an earlier row of their shard has: {_few(totals.doubled)}"
        )
    if totals.failures:
        lines.append(f"{totals.failures:,} work items failed; run the same command again to try only them:")
        lines += [f"  {failure['reason']}" for failure in totals.failed[:_SHOWN]]
        if totals.failures > _SHOWN:
            lines.append(f"  … and {totals.failures - _SHOWN:,} more, see summary.json")
    return "\n".join([*lines, uri]) + "\n"


def _few(doubled: dict[str, int]) -> str:
    shown = ", ".join(f"{title} ({count:,})" for title, count in list(doubled.items())[:_SHOWN])
    return shown + (" …" if len(doubled) > _SHOWN else "")
