"""The end of a run: what the ledger does not account for is deleted, and notes of failures that are none any more."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Set

from adaptor.errors import InputError, RunError
from jobs.commits.failures import ATTEMPTS, forget_attempts, forget_failures
from jobs.commits.ledger import LEDGER, RecordName, list_names, read_record, retire, source_keys
from jobs.commits.work_items import Plan, orphans
from jobs.compress.report import Totals
from jobs.config.commands import CompressConfig
from jobs.storage.objects import AbsentError, Objects

LOGGER = logging.getLogger(__name__)

#: What is older than this, in seconds, was left half-written by a process that was killed.
_ABANDONED_SECONDS = 86_400.0


def clean_up(
    config: CompressConfig,
    places: tuple[Objects, Objects],
    work: Plan,
    before: tuple[Set[str], Set[RecordName]],
    totals: Totals,
) -> int:
    """Delete what the ledger does not account for, and with `output.removed: delete` what left the source; how many.

    `places` are source and output_version. Only what was there `before` the run (outputs, rejected rows, and the names
    of failures) is touched: a run beside this one may be about to commit more. A shard that the listing did not show is
    looked for once more, as listings may be late. While work items are open, files stay: they may still be needed.
    """
    (source, output_version), (outputs, failures) = places, before
    try:
        output_version.abandon_uploads(max(_ABANDONED_SECONDS, 2 * config.reading.timeout_seconds))
    except (InputError, RunError, OSError, KeyError) as problem:
        # Refused, or a server that knows half of it: no reason to fail a run that is complete.
        LOGGER.warning("unfinished uploads are left to the bucket's lifecycle rule: %s", problem)
    forget_failures(output_version, failures - totals.failed.keys())  # done now, changed or gone: all others were tried
    forget_attempts(output_version, set(list_names(output_version, ATTEMPTS)) - {item.record for item in work.todo})
    if not totals.complete:
        return 0
    removed = []
    for name in work.removed:
        with contextlib.suppress(AbsentError):  # a run beside this one has retired it
            removed.append(read_record(output_version, name))
    gone = [record for record in removed if config.output.removed == "delete" and source.stat(record.shard) is None]
    for record in gone:
        retire(output_version, record)
    records = [key for key in work.leftovers if key.startswith(LEDGER)]
    for key in records:
        output_version.delete(key)
    current = {key for item in (*work.todo, *work.done) for key in (item.output, item.quarantine)}
    current |= {key for record in removed for key in (record.output, record.quarantine) if key is not None}
    listed = {item.shard.key for item in (*work.todo, *work.done)}
    files = [key for key in orphans(outputs, current) if not any(map(source.stat, source_keys(key) - listed))]
    for key in files:
        output_version.delete(key)
    return len(records) + len(files) + len(gone)
