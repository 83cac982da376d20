"""The commit of one work item: its output is published, then the record that makes it count.

The ledger tells the truth at every moment: what no longer holds is struck off before an output is replaced, and a
record appears, by one conditional PUT, only when all that it names is in place. No clock, lock or listing is part
of it, so any number of workers and drivers may do the same item at once, and each may die anywhere: outputs are a
function of the input alone, so whoever comes second puts the same bytes. `tests/jobs/compression/test_commit_model.py`
walks through all interleavings.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from adaptor.errors import RunError
from jobs.store.ledger import Record, commit, quarantine_key
from jobs.store.objects import Objects
from jobs.store.output import Written, publish
from jobs.store.plan import WorkItem
from jobs.store.shards import unchanged

#: Tries against workers that make other bytes of the same input (another library, another GPU) at the same moment.
_DUELS = 20


@dataclass(frozen=True)
class ScratchFile:
    """A finished file on the local disk."""

    path: Path
    written: Written


def commit_item(
    places: tuple[Objects, Objects], item: WorkItem, output: ScratchFile, rejected: ScratchFile | None, record: Record
) -> None:
    """Make a work item count; `places` are store and generation. `InputError` when its shard has changed meanwhile."""
    store, generation = places
    unchanged(store, item.shard)
    for key in item.stale_records:
        generation.delete(key)
    if rejected is None:
        generation.delete(quarantine_key(item.output))
    else:
        publish(generation, quarantine_key(item.output), rejected.path, rejected.written)
    for _ in range(_DUELS):
        publish(generation, item.output, output.path, output.written)
        if commit(generation, record):
            break
        # Another worker came first with other bytes, and whose output stands now is unknown: strike its record off and
        # go again. Whoever publishes last is also the last to get a record, so both agree in the end.
        generation.delete(record.name.key)
    else:
        raise RunError(f"{item.title}: others keep writing other bytes for the same input: let one job run at a time")
    for key in item.stale_outputs:
        generation.delete(key)
        generation.delete(quarantine_key(key))
