"""The end of a run: what the ledger does not account for is deleted, and so are notes that no longer hold."""

from __future__ import annotations

import logging
from contextlib import suppress

from adaptor.errors import InputError, RunError
from jobs.commits.context import JobContext
from jobs.commits.failures import ATTEMPTS, FAILED, delete_notes
from jobs.commits.ledger import LedgerRecord, list_names, read_record, retire
from jobs.commits.names import LEDGER, QUARANTINE, source_keys
from jobs.commits.work_items import cut_twice
from jobs.compress.listing import Listing
from jobs.compress.report import Totals
from jobs.config.compress import CompressConfig
from jobs.storage.objects import AbsentError

LOGGER = logging.getLogger(__name__)

#: Age in seconds from which on an unfinished upload is that of a process that was killed.
_ABANDONED_SECONDS = 86_400.0


def clean_up(context: JobContext[CompressConfig], listing: Listing, totals: Totals) -> None:
    """Delete what does not count, and add to `totals` what the output version looks like now.

    Only what was listed before the run is deleted: a run beside this one may be about to commit more. While work items
    are open, files stay: they may still be needed.
    """
    output_version, plan = context.output_version, listing.plan
    leftovers = set(plan.leftovers)  # about to be deleted
    totals.shards_cut_twice = cut_twice(name for name in list_names(output_version) if name.key not in leftovers)
    try:
        output_version.abandon_uploads(max(_ABANDONED_SECONDS, 2 * context.config.reading.timeout_seconds))
    except (InputError, RunError, OSError, KeyError) as problem:
        # Refused, or a server that knows half of it: no reason to fail a run that is complete.
        LOGGER.warning("unfinished uploads are left to the bucket's lifecycle rule: %s", problem)
    # What failed before and not now is done, changed or gone: all others were begun again.
    delete_notes(output_version, FAILED, listing.failed - totals.failed.keys())
    begun = set(list_names(output_version, ATTEMPTS))
    delete_notes(output_version, ATTEMPTS, begun - {item.record for item in plan.todo})
    if totals.complete:
        totals.files_removed = _delete_files(context, listing)
    # Rows that earlier runs put aside must not be forgotten because this one found none.
    totals.quarantine_files = sum(1 for _ in output_version.list(QUARANTINE))


def _delete_files(context: JobContext[CompressConfig], listing: Listing) -> int:
    """Delete superseded records, files without a record, and what left the source (unless it is kept); how many.
    Listings may be late: a shard that was not listed is looked for once more."""
    output_version, source, plan = context.output_version, context.source, listing.plan
    removed: list[LedgerRecord] = []
    for name in plan.removed:
        with suppress(AbsentError):  # a run beside this one has retired it
            removed.append(read_record(output_version, name))
    gone = [record for record in removed if not context.keeps_removed and not source.has(record.shard)]
    for record in gone:
        retire(output_version, record)
    items = (*plan.todo, *plan.done)
    named = {key for item in items for key in (item.output, item.quarantine)}
    named |= {key for record in removed for key in (record.output, record.quarantine) if key is not None}
    listed, suffix = {item.shard.key for item in items}, context.output_format.suffix
    orphans = [key for key in listing.files - named if not any(map(source.has, source_keys(key, suffix) - listed))]
    superseded = [key for key in plan.leftovers if key.startswith(LEDGER)]
    for key in (*superseded, *orphans):
        output_version.delete(key)
    return len(superseded) + len(orphans) + len(gone)
