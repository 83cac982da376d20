"""The end of a run: what the ledger does not account for is deleted, and notes of failures that are none any more."""

from __future__ import annotations

from collections.abc import Collection, Set

from jobs.compression.report import Totals
from jobs.config.commands import CompressConfig
from jobs.store.failures import forget_failures
from jobs.store.ledger import DATA, RecordName, quarantine_key, read_record, retire
from jobs.store.objects import Objects
from jobs.store.plan import Plan, orphans


def tidy(
    config: CompressConfig,
    generation: Objects,
    work: Plan,
    before: tuple[Collection[str], Set[RecordName]],
    totals: Totals,
) -> int:
    """Delete what the ledger does not account for, and with `output.removed: delete` what left the store; how many.

    Only what was there `before` the run (outputs, and the names of failures) is touched: a run beside this one may be
    about to commit more. While work items are open, files stay: they may still be needed.
    """
    outputs, failures = before
    forget_failures(generation, failures - totals.failed.keys())  # done now, changed or gone: all others were tried
    if not totals.complete:
        return 0
    removed = [read_record(generation, name) for name in work.removed]
    if config.output.removed == "delete":
        for record in removed:
            retire(generation, record)
    records = [key for key in work.leftovers if not key.startswith(DATA)]
    for key in records:
        generation.delete(key)
    current = {item.output for item in (*work.todo, *work.done)} | {record.output for record in removed}
    files = orphans(outputs, current)
    for key in files:
        generation.delete(key)
        generation.delete(quarantine_key(key))
    return len(records) + len(files) + (len(removed) if config.output.removed == "delete" else 0)
