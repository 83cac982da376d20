"""The end of a run: what the ledger does not account for is deleted, and notes of failures that are none any more."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Set

from adaptor.errors import InputError, RunError
from jobs.commits.context import JobContext
from jobs.commits.failures import ATTEMPTS, forget_attempts, forget_failures
from jobs.commits.ledger import LedgerRecord, list_names, read_record, retire
from jobs.commits.names import LEDGER, RecordName, source_keys
from jobs.commits.work_items import WorkPlan, orphans
from jobs.compress.report import Totals
from jobs.config.compress import CompressConfig
from jobs.storage.objects import AbsentError, Objects

LOGGER = logging.getLogger(__name__)

#: What is older than this, in seconds, was left half-written by a process that was killed.
_ABANDONED_SECONDS = 86_400.0


def clean_up(
    context: JobContext,
    config: CompressConfig,
    work: WorkPlan,
    totals: Totals,
    *,
    files: Set[str],
    failed: Set[RecordName],
) -> int:
    """Delete what the ledger does not account for, and with `output.removed: delete` what left the source; how many.

    Only what was there before the run (`files`: outputs and rejected rows; `failed`: notes of failures) is touched: a
    run beside this one may be about to commit more. A shard that the listing did not show is looked for once more, as
    listings may be late. While work items are open, files stay: they may still be needed.
    """
    output_version, source = context.output_version, context.source
    _abandon_uploads(output_version, max(_ABANDONED_SECONDS, 2 * config.reading.timeout_seconds))
    forget_failures(output_version, failed - totals.failed.keys())  # done now, changed or gone: all others were tried
    forget_attempts(output_version, set(list_names(output_version, ATTEMPTS)) - {item.record for item in work.todo})
    if not totals.complete:
        return 0
    removed = _removed(output_version, work)
    gone = [record for record in removed if config.output.removed == "delete" and not source.has(record.shard)]
    for record in gone:
        retire(output_version, record)
    superseded = [key for key in work.leftovers if key.startswith(LEDGER)]
    current = {key for item in (*work.todo, *work.done) for key in (item.output, item.quarantine)}
    current |= {key for record in removed for key in (record.output, record.quarantine) if key is not None}
    listed = {item.shard.key for item in (*work.todo, *work.done)}
    suffix = context.output_format.suffix
    orphaned = [key for key in orphans(files, current) if not any(map(source.has, source_keys(key, suffix) - listed))]
    for key in (*superseded, *orphaned):
        output_version.delete(key)
    return len(superseded) + len(orphaned) + len(gone)


def _abandon_uploads(output_version: Objects, older_than: float) -> None:
    try:
        output_version.abandon_uploads(older_than)
    except (InputError, RunError, OSError, KeyError) as problem:
        # Refused, or a server that knows half of it: no reason to fail a run that is complete.
        LOGGER.warning("unfinished uploads are left to the bucket's lifecycle rule: %s", problem)


def _removed(output_version: Objects, work: WorkPlan) -> list[LedgerRecord]:
    """The records of shards that have left the source."""
    removed = []
    for name in work.removed:
        with contextlib.suppress(AbsentError):  # a run beside this one has retired it
            removed.append(read_record(output_version, name))
    return removed
