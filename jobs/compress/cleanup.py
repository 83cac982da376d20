"""The end of a run: notes that no longer hold are deleted, and so are uploads that nobody finished."""

from __future__ import annotations

import logging

from adaptor.errors import InputError, RunError
from jobs.commits.context import JobContext
from jobs.commits.failures import ATTEMPTS, FAILED, delete_notes
from jobs.commits.ledger import list_names
from jobs.commits.names import QUARANTINE
from jobs.commits.work_items import cut_twice
from jobs.compress.listing import Listing
from jobs.compress.report import Totals
from jobs.config.compress import CompressConfig

LOGGER = logging.getLogger(__name__)

#: Age in seconds from which on an unfinished upload is that of a process that was killed.
_ABANDONED_SECONDS = 86_400.0


def clean_up(context: JobContext[CompressConfig], listing: Listing, totals: Totals) -> None:
    """Delete what nobody needs, and add to `totals` what the output version looks like now."""
    output_version, plan = context.output_version, listing.plan
    superseded = set(plan.superseded)  # about to be deleted
    totals.shards_cut_twice = cut_twice(name for name in list_names(output_version) if name not in superseded)
    try:
        output_version.abandon_uploads(max(_ABANDONED_SECONDS, 2 * context.config.reading.timeout_seconds))
    except (InputError, RunError, OSError, KeyError) as problem:
        # Refused, or a server that knows half of it: no reason to fail a run that is complete.
        LOGGER.warning("unfinished uploads are left to the bucket's lifecycle rule: %s", problem)
    # What failed before and not now is done, changed or gone: all others were begun again.
    delete_notes(output_version, FAILED, listing.failed - totals.failed.keys())
    begun = set(list_names(output_version, ATTEMPTS))
    delete_notes(output_version, ATTEMPTS, begun - {item.record for item in plan.todo})
    # Rows that earlier runs put aside must not be forgotten because this one found none.
    totals.quarantine_files = sum(1 for _ in output_version.list(QUARANTINE))
