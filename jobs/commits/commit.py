"""The commit of one work item: its output is published, then the record that makes it count.

The ledger tells the truth at every moment: what no longer holds is struck off before an output is replaced, and a
record appears, by one conditional PUT, only when all that it names is in place. No clock, lock or listing is part
of it, so any number of workers and drivers may do the same item at once, and each may die anywhere: outputs are a
function of the input alone, so whoever comes second puts the same bytes. A worker may sleep as long as it likes: it
replaces only what it saw in the output's place before its shard was last known to be current, so never rows of a later
version; rejected rows have a place for each version. `tests/jobs/commits/test_commit_model.py` walks through all
interleavings.

What that leaves open, for `verify` to find: a server that knows no If-Match (and Ceph 16 where the output goes up in
parts), a local disk and fsspec have the look just before the replacement, not in it: who sleeps between the two, while
another worker commits a later version, and then dies before its own record, leaves old rows under the new record. So
does who sleeps while the shard changes and changes back. A crash in the middle of a duel with other bytes leaves output
or rejected rows of one under the record of the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from adaptor.errors import RunError
from jobs.commits.ledger import Record, commit
from jobs.commits.work_items import WorkItem
from jobs.outputs.parquet import Written, publish, publish_over
from jobs.sources.parquet import unchanged
from jobs.storage.objects import ObjectInfo, Objects

#: Tries against workers that put the same output at the same moment, be it with other bytes (another library or GPU).
_WRITE_CONFLICTS = 20


@dataclass(frozen=True)
class ScratchFile:
    """A finished file on the local disk."""

    path: Path
    written: Written


def commit_item(
    places: tuple[Objects, Objects], item: WorkItem, output: ScratchFile, rejected: ScratchFile | None, record: Record
) -> None:
    """Make a work item count; `places` are source and output_version. `InputError` when its shard has changed
    meanwhile."""
    output_version = places[1]
    seen = _eval_step(places, item)
    for key in item.stale_records:
        output_version.delete(key)
    for _ in range(_WRITE_CONFLICTS):
        if publish_over(output_version, item.output, output.path, output.written, seen):
            if rejected is not None:
                publish(output_version, item.quarantine, rejected.path, rejected.written)
            if commit(output_version, record):
                break
            # Another worker came first with other bytes, and whose output stands now is unknown: strike its record off
            # and go again. Whoever publishes last is also the last to get a record, so both agree in the end.
            output_version.delete(record.name.key)
        seen = _eval_step(places, item)
    else:
        raise RunError(f"{item.title}: others keep writing other bytes for the same input: let one job run at a time")
    for key in item.stale_outputs:
        output_version.delete(key)


def _eval_step(places: tuple[Objects, Objects], item: WorkItem) -> ObjectInfo | None:
    """What stands in the output's place, looked at before the shard proves to be unchanged."""
    source, output_version = places
    seen = output_version.stat(item.output)
    unchanged(source, item.shard)
    return seen
