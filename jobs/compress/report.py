"""What became of the work items of a run: their results, added up for summary.json and for reading."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, get_args

from adaptor.errors import InputError
from jobs.commits.failures import Cause, Kind
from jobs.commits.ledger import LedgerRecord
from jobs.commits.manifest import Manifest, OutputFile
from jobs.commits.names import RecordName
from jobs.commits.work_items import WorkItem
from jobs.compress.drift import Drift
from jobs.runtime.plural import plural

#: Failures and shards with doubled ids in the report, and in summary.json, at most.
_SHOWN, _LISTED = 20, 10_000
#: Counts of a record that add up over work items.
_ADDED = ("rows_in", "rows_out", "rows_quarantined", "output_bytes", "values_clipped")


@dataclass(frozen=True)
class Result:
    """What became of a work item: its record, or why it failed. `seconds` are those of the last `attempt` (the first is
    1), `phases` the same by phase if it compressed."""

    item: WorkItem
    outcome: LedgerRecord | Cause
    attempt: int
    seconds: float
    phases: dict[str, float]

    def log_fields(self) -> dict[str, Any]:
        """The fields of its log line."""
        phases = {f"{phase}_seconds": round(seconds, 3) for phase, seconds in self.phases.items()}
        fields = {"shard": self.item.title, "attempt": self.attempt, "seconds": round(self.seconds, 3), **phases}
        if isinstance(self.outcome, Cause):
            return fields | {"reason": self.outcome.kind, "message": self.outcome.reason}
        return fields | {name: getattr(self.outcome, name) for name in _ADDED}


@dataclass
class Totals:
    """What this run did, added up from the records, by the names of summary.json. `failed` holds the note on each work
    item that failed for good."""

    adaptor_id: str
    dim: int
    shards: int
    notes: list[str]
    work_items_done_before: int
    work_items_left: int
    shards_removed_from_source: int
    work_items_done: int = 0
    shards_cut_twice: int = 0
    files_removed: int = 0
    rows_in: int = 0
    rows_out: int = 0
    rows_quarantined: int = 0
    quarantine_files: int = 0
    duplicate_ids: int = 0
    values_clipped: int = 0
    input_bytes: int = 0
    output_bytes: int = 0
    worker_seconds: dict[str, float] = field(default_factory=dict)
    shards_with_duplicate_ids: dict[str, int] = field(default_factory=dict)
    failed: dict[RecordName, dict[str, Any]] = field(default_factory=dict)
    files: list[OutputFile] = field(default_factory=list)
    drifts: list[LedgerRecord] = field(default_factory=list)
    drift: Drift | None = None

    @property
    def complete(self) -> bool:
        """Whether every work item of the plan is done, and none twice."""
        return not self.failed and not self.work_items_left and not self.shards_cut_twice

    def add(self, result: Result, record: LedgerRecord) -> None:
        """Count a finished work item. Seconds add up over all workers."""
        for phase, seconds in result.phases.items():
            self.worker_seconds[phase] = round(self.worker_seconds.get(phase, 0.0) + seconds, 3)
        for name in _ADDED:
            setattr(self, name, getattr(self, name) + getattr(record, name))
        self.work_items_done += 1
        self.files.append(OutputFile.of(record))
        self.drifts += [record] if record.drift is not None else []
        self.input_bytes += result.item.input_bytes
        if record.duplicate_ids:
            self.duplicate_ids += record.duplicate_ids
            self.shards_with_duplicate_ids[result.item.title] = record.duplicate_ids

    def failures_by_kind(self) -> dict[str, int]:
        """How many work items failed for good, by kind, zeros included."""
        counts = Counter(note["kind"] for note in self.failed.values())
        return {kind: counts[kind] for kind in get_args(Kind)}

    def summary(self) -> dict[str, Any]:
        """The fields of summary.json."""
        return {
            "status": "complete" if self.complete else "incomplete",
            "work_items_failed": len(self.failed),
            "work_items_failed_by_reason": self.failures_by_kind(),
            **{name: value for name, value in vars(self).items() if name not in ("files", "drifts")},
            "drift": self.drift and self.drift.summary(),
            "shards_with_duplicate_ids": dict(islice(self.shards_with_duplicate_ids.items(), _LISTED)),
            "failed": list(islice(self.failed.values(), _LISTED)),
        }


def whole_output_version(done: Sequence[LedgerRecord | InputError], totals: Totals) -> dict[str, int]:
    """Counts over all runs: those of this one, and of the records of work items that were `done` before; records that
    cannot be read are counted."""
    records = [record for record in done if isinstance(record, LedgerRecord)]
    counts = {name: getattr(totals, name) + sum(getattr(record, name) for record in records) for name in _ADDED}
    work_items = totals.work_items_done + len(records)
    return {"work_items": work_items, **counts, "unreadable_records": len(done) - len(records)}


def sequence_counts(manifest: Manifest | None) -> dict[str, Any]:
    """What summary.json says of the sequence that a complete run leaves."""
    if manifest is None:
        return {"sequence": None, "feed": None}
    feed = next((one for one in manifest.feeds if one.sequence == manifest.sequence), None)
    return {
        "sequence": manifest.sequence,
        "feed": feed and {"path": feed.path, "upserts": feed.upserts, "deletes": feed.deletes},
    }


def report(uri: str, totals: Totals, manifest: Manifest | None, seconds: float) -> str:
    """The same for reading; `uri` is the output version's, `manifest` that of a complete run."""
    lines = [f"note: {note}" for note in totals.notes]
    lines += [*_progress(totals, seconds), *_rows(uri, totals), *_failures(uri, totals)]
    lines += [*([] if manifest is None else [_sequence(manifest)]), uri]
    return "\n".join(lines) + "\n"


def _sequence(manifest: Manifest) -> str:
    counts = sequence_counts(manifest)
    text = f"sequence {manifest.sequence}: {plural(manifest.rows, 'rows')} in {plural(len(manifest.files), 'files')}"
    if feed := counts["feed"]:
        return f"{text}; its feed: {plural(feed['upserts'], 'upserts')}, {plural(feed['deletes'], 'deletes')}"
    return text if manifest.sequence == 1 else f"{text}; no feed leads to it: loaders load all of it"


def _progress(totals: Totals, seconds: float) -> Iterator[str]:
    done_before = totals.work_items_done_before
    if totals.work_items_done or totals.failed:
        yield (
            f"{plural(totals.work_items_done, 'work items')} compressed in {seconds:.1f} s, start-up included "
            f"({done_before:,} done before): {plural(totals.rows_in, 'vectors')} in, {totals.rows_out:,} out, "
            f"{totals.input_bytes / 1e9:.3g} GB in, {totals.output_bytes / 1e9:.3g} GB out"
        )
    elif not totals.work_items_left:
        all_items = "the only work item is" if done_before == 1 else f"all {done_before:,} work items are"
        yield f"nothing to do: {all_items} done"
    if totals.work_items_left:
        left = plural(totals.work_items_left, "work items")
        yield f"{left} left, which no run gave up as failed: run without reading.retry_failed to do them"
    if totals.shards_cut_twice:
        yield (
            f"{plural(totals.shards_cut_twice, 'shards')} in the output twice: another run cut with another "
            "reading.split_bytes at the same time; when it has ended run the same command again, it deletes one of both"
        )


def _rows(uri: str, totals: Totals) -> Iterator[str]:
    if totals.quarantine_files:
        yield (
            f"{plural(totals.rows_quarantined, 'rows')} went into quarantine in this run; with earlier runs, rows of "
            f"{plural(totals.quarantine_files, 'work items')} are there: {uri}/_quarantine/"
        )
    if totals.duplicate_ids:
        doubled = [f"{title} ({count:,})" for title, count in totals.shards_with_duplicate_ids.items()]
        shown = ", ".join(doubled[:_SHOWN]) + (" …" if len(doubled) > _SHOWN else "")
        yield f"{plural(totals.duplicate_ids, 'rows')} with an id that an earlier row of the same shard has: {shown}"
    if totals.values_clipped:
        yield (
            f"{plural(totals.values_clipped, 'numbers')} beyond what the encoding holds became its extreme: "
            "set output.encoding: float32 if that matters"
        )


def _failures(uri: str, totals: Totals) -> Iterator[str]:
    if totals.failed:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in totals.failures_by_kind().items() if count)
        yield (
            f"{plural(len(totals.failed), 'work items')} failed ({kinds}); run the same command again, or with "
            "--reading.retry_failed true to try only them:"
        )
    yield from (f"  {note['reason']}" for note in islice(totals.failed.values(), _SHOWN))
    if len(totals.failed) > _SHOWN:
        yield f"  … and {len(totals.failed) - _SHOWN:,} more, see summary.json and {uri}/_failed/"
