"""What compress tells at its end: totals of the run, for summary.json and for reading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from adaptor.errors import InputError
from jobs.commits.failures import Cause, Kind, by_kind
from jobs.commits.ledger import LedgerRecord, read_record
from jobs.commits.names import RecordName
from jobs.commits.work_items import WorkItem, WorkPlan
from jobs.runtime.plural import plural
from jobs.storage.objects import Objects

if TYPE_CHECKING:
    from jobs.compress.worker import Result

_SHOWN = 20
_READING_THREADS = 16
#: Most records that are read again at the end of a run: a minute or so on S3.
_READ_AGAIN = 20_000
_ADDED = ("rows_in", "rows_out", "rows_quarantined", "output_bytes", "values_clipped")
#: Failures and shards with doubled ids that summary.json lists at most.
_LISTED = 10_000


@dataclass
class Totals:
    """What this run did, added up from the records. `items_left` were not tried; `failed` were, and are `listed` with
    their reasons; `shards_cut_twice` are those of `plan.cut_twice`; `doubled` names shards and counts ids."""

    items: int = 0
    rows_in: int = 0
    rows_out: int = 0
    rows_quarantined: int = 0
    duplicate_ids: int = 0
    values_clipped: int = 0
    input_bytes: int = 0
    output_bytes: int = 0
    files_removed: int = 0
    quarantine_files: int = 0
    items_left: int = 0
    shards_cut_twice: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    doubled: dict[str, int] = field(default_factory=dict)
    failed: dict[RecordName, Kind] = field(default_factory=dict)
    listed: list[dict[str, Any]] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether every work item of the plan is done, and none twice."""
        return not self.failed and not self.items_left and not self.shards_cut_twice

    def add(self, item: WorkItem, record: LedgerRecord, seconds: Mapping[str, float]) -> None:
        """Count a finished work item; `seconds` by phase, which add up over all workers."""
        for phase, spent in seconds.items():
            self.seconds[phase] = self.seconds.get(phase, 0.0) + spent
        self.items += 1
        self.rows_in += record.rows_in
        self.rows_out += record.rows_out
        self.rows_quarantined += record.rows_quarantined
        self.input_bytes += item.input_bytes
        self.output_bytes += record.output_bytes
        self.values_clipped += record.values_clipped
        if record.duplicate_ids:
            self.duplicate_ids += record.duplicate_ids
            if len(self.doubled) < _LISTED:
                self.doubled[item.title] = record.duplicate_ids

    def fail(self, item: WorkItem, cause: Cause) -> None:
        """Count a work item that failed for good."""
        self.failed[item.record] = cause.kind
        if len(self.listed) < _LISTED:
            self.listed.append({"shard": item.title, **asdict(cause)})


def summary(work: WorkPlan, totals: Totals) -> dict[str, Any]:
    """The fields of summary.json."""
    return {
        "status": "complete" if totals.complete else "incomplete",
        "work_items_done_before": len(work.done),
        "work_items_done": totals.items,
        "work_items_failed": len(totals.failed),
        "work_items_failed_by_reason": by_kind(totals.failed.values()),
        "work_items_left": totals.items_left,
        "shards_cut_twice": totals.shards_cut_twice,
        "shards_removed_from_source": len({name.shard for name in work.removed}),
        "files_removed": totals.files_removed,
        "rows_in": totals.rows_in,
        "rows_out": totals.rows_out,
        "rows_quarantined": totals.rows_quarantined,
        "quarantine_files": totals.quarantine_files,
        "duplicate_ids": totals.duplicate_ids,
        "values_clipped": totals.values_clipped,
        "input_bytes": totals.input_bytes,
        "output_bytes": totals.output_bytes,
        "worker_seconds": {phase: round(spent, 3) for phase, spent in totals.seconds.items()},
        "shards_with_duplicate_ids": totals.doubled,
        "failed": totals.listed,
    }


def whole_output_version(output_version: Objects, work: WorkPlan, totals: Totals) -> dict[str, int] | None:
    """Counts over all runs: those of this one, and the records of what was done before.

    None when those are too many to be read again for it; records that cannot be read are counted and left out.
    """
    if len(work.done) > _READ_AGAIN:
        return None

    def read(item: WorkItem) -> LedgerRecord | None:
        """The record, or None when it is gone or damaged."""
        try:
            return read_record(output_version, item.record)
        except InputError:
            return None

    with ThreadPoolExecutor(_READING_THREADS) as threads:
        records = [record for record in threads.map(read, work.done) if record is not None]
    before = [sum(getattr(record, name) for record in records) for name in _ADDED]
    counts = {name: getattr(totals, name) + number for name, number in zip(_ADDED, before, strict=True)}
    return {"work_items": totals.items + len(records), **counts, "unreadable_records": len(work.done) - len(records)}


def log_fields(result: Result) -> dict[str, Any]:
    """The fields of a log line about a work item."""
    phases = {f"{phase}_seconds": round(spent, 3) for phase, spent in result.phases.items()}
    fields = {"shard": result.item.title, "attempt": result.attempt, "seconds": round(result.seconds, 3), **phases}
    if result.cause is not None:
        return fields | {"reason": result.cause.kind, "message": result.cause.reason}
    record = result.record
    counts = {} if record is None else {name: getattr(record, name) for name in _ADDED}
    return fields | counts


def report(uri: str, work: WorkPlan, totals: Totals, notes: Sequence[str], seconds: float) -> str:
    """The same for reading; `uri` is the output version's."""
    lines = [f"note: {note}" for note in notes]
    if not work.todo:
        all_items = "the only work item is" if len(work.done) == 1 else f"all {len(work.done):,} work items are"
        lines.append(f"nothing to do: {all_items} done")
    elif totals.items or totals.failed:
        lines.append(
            f"{plural(totals.items, 'work items')} compressed in {seconds:.1f} s, start-up included "
            f"({len(work.done):,} done before): {plural(totals.rows_in, 'vectors')} in, {totals.rows_out:,} out, "
            f"{totals.input_bytes / 1e9:.3g} GB in, {totals.output_bytes / 1e9:.3g} GB out"
        )
    if totals.items_left:
        lines.append(
            f"{plural(totals.items_left, 'work items')} left, which no run gave up as failed: "
            "run without reading.retry_failed to do them"
        )
    if totals.shards_cut_twice:
        lines.append(
            f"{plural(totals.shards_cut_twice, 'shards')} in the output twice: another run cut with another "
            "reading.split_bytes at the same time; when it has ended run the same command again, it deletes one of both"
        )
    if totals.quarantine_files:
        lines.append(
            f"{plural(totals.rows_quarantined, 'rows')} went into quarantine in this run; with earlier runs, rows of "
            f"{plural(totals.quarantine_files, 'work items')} are there: {uri}/_quarantine/"
        )
    if totals.duplicate_ids:
        lines.append(
            f"{plural(totals.duplicate_ids, 'rows')} with an id that an earlier row of the same shard has: "
            f"{_few(totals.doubled)}"
        )
    if totals.values_clipped:
        lines.append(
            f"{plural(totals.values_clipped, 'numbers')} beyond what the encoding holds became its extreme: "
            "set output.encoding: float32 if that matters"
        )
    if totals.failed:
        counts = ", ".join(f"{count:,} {kind}" for kind, count in by_kind(totals.failed.values()).items() if count)
        lines.append(
            f"{plural(len(totals.failed), 'work items')} failed ({counts}); run the same command again, or with "
            "--reading.retry_failed true to try only them:"
        )
        lines += [f"  {failure['reason']}" for failure in totals.listed[:_SHOWN]]
        if len(totals.failed) > _SHOWN:
            lines.append(f"  … and {len(totals.failed) - _SHOWN:,} more, see summary.json and {uri}/_failed/")
    return "\n".join([*lines, uri]) + "\n"


def _few(doubled: dict[str, int]) -> str:
    shown = ", ".join(f"{title} ({count:,})" for title, count in list(doubled.items())[:_SHOWN])
    return shown + (" …" if len(doubled) > _SHOWN else "")
