"""The commit of one work item: its output is published, then the record that makes it count.

The ledger is true at every moment. An output's name says which version of its shard it is of, so no version is ever in
another's way. A record appears, by one conditional PUT, only when all that it names is there. No clock, lock or listing
is part of it. Any number of workers and drivers may do the same item at once, and each may die anywhere: outputs depend
on the input alone, so all put the same bytes. `tests/jobs/commits/test_commit_model.py` walks through all
interleavings.

One case is left for `verify` to find: a crash in a conflict with a writer of other bytes (another library, another GPU)
leaves output or rejected rows of one under the record of the other.
"""

from __future__ import annotations

from dataclasses import dataclass

from adaptor.errors import RunError
from jobs.commits.ledger import LedgerRecord, commit
from jobs.commits.work_items import WorkItem
from jobs.outputs.output_format import Written
from jobs.outputs.publish import publish, publish_over
from jobs.sources.source import Source
from jobs.storage.objects import Objects

#: Attempts against workers that put the same output at the same moment, also with other bytes (another library or GPU).
_WRITE_CONFLICTS = 20


@dataclass(frozen=True)
class FinishedItem:
    """A work item whose files are finished on the local disk: short vectors, rejected rows if any, and their record."""

    item: WorkItem
    output: Written
    rejected: Written | None
    record: LedgerRecord


def commit_item(source: Source, output_version: Objects, finished: FinishedItem) -> None:
    """Make a work item count. `InputError` when its shard has changed, `RunError` when others write other bytes."""
    item, record, rejected = finished.item, finished.record, finished.rejected
    for conflicts in range(_WRITE_CONFLICTS):
        present = output_version.stat(item.output)
        source.check_unchanged(item.shard)
        if item.recorded and not conflicts:  # of an output that was lost: this one may have other bytes
            output_version.delete(item.record.key)
        if not publish_over(output_version, item.output, finished.output, present):
            continue
        if rejected is not None:
            publish(output_version, item.quarantine, rejected)
        if commit(output_version, record):
            break
        # Another worker came first with other bytes, and whose output stands now is unknown: delete its record and go
        # again. Whoever publishes last is also the last to get a record, so both agree in the end.
        output_version.delete(record.name.key)
    else:
        raise RunError(f"{item.title}: others keep writing other bytes for the same input: let one job run at a time")
