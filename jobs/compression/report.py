"""What compress tells at its end: totals of the run, for summary.json and for reading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from jobs.store.failures import Cause, Kind, by_kind
from jobs.store.ledger import Record, RecordName
from jobs.store.plan import Plan, WorkItem

_SHOWN = 20
#: Failures and shards with doubled ids that summary.json lists at most.
_LISTED = 10_000


@dataclass
class Totals:
    """What this run did, added up from the records. `items_left` were not tried; `failed` were, and are `listed` with
    their reasons; `doubled` names shards and counts ids."""

    items: int = 0
    rows_in: int = 0
    rows_out: int = 0
    rows_quarantined: int = 0
    duplicate_ids: int = 0
    input_bytes: int = 0
    output_bytes: int = 0
    files_removed: int = 0
    quarantine_files: int = 0
    items_left: int = 0
    doubled: dict[str, int] = field(default_factory=dict)
    failed: dict[RecordName, Kind] = field(default_factory=dict)
    listed: list[dict[str, Any]] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether every work item of the plan is done."""
        return not self.failed and not self.items_left

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

    def fail(self, item: WorkItem, cause: Cause) -> None:
        """Count a work item that failed for good."""
        self.failed[item.record] = cause.kind
        if len(self.listed) < _LISTED:
            self.listed.append({"shard": item.title, **asdict(cause)})


def summary(work: Plan, totals: Totals) -> dict[str, Any]:
    """The fields of summary.json."""
    return {
        "status": "complete" if totals.complete else "incomplete",
        "work_items_done_before": len(work.done),
        "work_items_done": totals.items,
        "work_items_failed": len(totals.failed),
        "work_items_failed_by_reason": by_kind(totals.failed.values()),
        "work_items_left": totals.items_left,
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
        "failed": totals.listed,
    }


def report(uri: str, work: Plan, totals: Totals, notes: Sequence[str], seconds: float) -> str:
    """The same for reading; `uri` is the generation's."""
    lines = [f"note: {note}" for note in notes]
    if not work.todo:
        lines.append(f"nothing to do: all {len(work.done):,} work items are done")
    elif totals.items or totals.failed:
        lines.append(
            f"{totals.items:,} work items compressed in {seconds:.1f} s ({len(work.done):,} were done before): "
            f"{totals.rows_in:,} vectors in, {totals.rows_out:,} out, "
            f"{totals.input_bytes / 1e9:.3g} GB in, {totals.output_bytes / 1e9:.3g} GB out"
        )
    if totals.items_left:
        lines.append(
            f"{totals.items_left:,} work items are left, which no run gave up as failed: "
            "run without reading.retry_failed to do them"
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
    if totals.failed:
        counts = ", ".join(f"{count:,} {kind}" for kind, count in by_kind(totals.failed.values()).items() if count)
        lines.append(
            f"{len(totals.failed):,} work items failed ({counts}); run the same command again, or with "
            "--reading.retry_failed true to try only them:"
        )
        lines += [f"  {failure['reason']}" for failure in totals.listed[:_SHOWN]]
        if len(totals.failed) > _SHOWN:
            lines.append(f"  … and {len(totals.failed) - _SHOWN:,} more, see summary.json and {uri}/_failed/")
    return "\n".join([*lines, uri]) + "\n"


def _few(doubled: dict[str, int]) -> str:
    shown = ", ".join(f"{title} ({count:,})" for title, count in list(doubled.items())[:_SHOWN])
    return shown + (" …" if len(doubled) > _SHOWN else "")
