"""`matryoshka compress`: the whole source through the adaptor, each work item exactly once.

1. Open source, adaptor and output version, and check that they fit together. 2. List source and ledger, and subtract
(`listing`). 3. Actors compress what is left: one output file and one record a work item (`worker`, `shard`). 4. When
all is done the manifest says what counts (`publishing`). A run that was killed anywhere leaves nothing half done: run
the same command again.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from adaptor.errors import InputError
from cluster.session import connect
from jobs.commits.context import JobContext
from jobs.commits.failures import ATTEMPTS, Cause, delete_notes, note_failure, noted_attempts
from jobs.commits.ledger import LedgerRecord
from jobs.commits.output_version import claim
from jobs.commits.work_items import WorkItem
from jobs.compress.cleanup import clean_up
from jobs.compress.drift import Drift, Kind
from jobs.compress.listing import list_work
from jobs.compress.preflight import check_dimension, check_quality
from jobs.compress.publishing import done_records, publish_sequence
from jobs.compress.report import Totals, report, sequence_counts, whole_output_version
from jobs.config.compress import CompressConfig
from jobs.config.loader import resolved
from jobs.runtime.progress import Progress
from jobs.runtime.summary import summarised
from jobs.storage.adaptors import untrained_dims


def run(config: CompressConfig, worker: type[Any] | None = None) -> int:
    """Compress what is not compressed yet; 0 when the output version is complete, 1 when work items failed.

    `worker` replaces the class that the actors run. Raises `InputError` before anything is written when configuration,
    adaptor and source do not fit together, and for bad rows when `reading.bad_rows` is `stop`.
    """
    started = time.time()
    context = JobContext.open(config)
    check_quality(config, context.adaptor)

    listing = list_work(context)
    context = context.pinned()
    items = listing.items(config.reading.retry_failed)
    check_dimension(context, items)
    output_version = context.output_version
    output_version.check_writable()
    claim(output_version, context.description)
    output_version.put("config.json", resolved(config).encode())

    totals = Totals(
        adaptor_id=context.adaptor.adaptor_id,
        dim=config.output.dim,
        shards=listing.shards,
        notes=[f"{note}: evaluate it first" for note in untrained_dims(context.adaptor, [config.output.dim])]
        + context.source.notes(),
        work_items_done_before=len(listing.plan.done),
        work_items_left=len(listing.plan.todo) - len(items),
        shards_removed_from_source=len({name.shard for name in listing.plan.removed}),
    )
    with summarised(output_version, "compress", started, **totals.summary()) as numbers:
        numbers["source_snapshot"] = context.source.snapshot()
        try:
            if items:
                _compress(context, items, totals, worker)
            clean_up(context, listing, totals)
            done = done_records(output_version, listing.plan.done)
            manifest = publish_sequence(context, listing, totals, done) if totals.complete else None
        finally:
            numbers |= totals.summary()
        whole = whole_output_version(done, totals) if len(done) == len(listing.plan.done) else None
        numbers |= sequence_counts(manifest) | {"output_version": whole}
    sys.stdout.write(report(output_version.uri, totals, manifest, time.time() - started))
    return 0 if totals.complete else 1


def _compress(
    context: JobContext[CompressConfig], items: Sequence[WorkItem], totals: Totals, worker: type[Any] | None
) -> None:
    """Stream the work items through the cluster into `totals`. Raises `InputError` when bad rows end the job."""
    config, output_version = context.config, context.output_version
    cluster, workers = config.cluster, min(config.cluster.min_workers, len(items))
    with connect(cluster, workers * cluster.cpus_per_worker, workers * cluster.gpus_per_worker):
        from jobs.compress.metrics import Metrics
        from jobs.compress.worker import CompressShards, stream_results

        noted = noted_attempts(output_version)
        with (
            Progress("compress", total=len(items), unit="work items", rates=("vectors",), log=cluster.log) as progress,
            closing(stream_results(config, items, worker or CompressShards, noted)) as results,
        ):
            progress.set(vectors=0, gb=0.0, quarantined=0, failed=0)
            metrics = Metrics()
            for result in results:
                item, outcome = result.item, result.outcome
                metrics.count(result)
                fields, drift = result.log_fields(), _drift(context, outcome)
                if drift != "none":
                    metrics.count_drift(drift)
                    fields["drift"] = drift
                progress.event("failed" if isinstance(outcome, Cause) else "done", **fields)
                if isinstance(outcome, Cause):
                    if outcome.kind == "data" and config.reading.bad_rows == "stop":
                        raise InputError(outcome.reason)
                    totals.failed[item.record] = note_failure(output_version, item, outcome)
                    progress.note(f"failed: {outcome.reason}")
                    progress.advance(failed=1)
                else:
                    totals.add(result, outcome)
                    gb = item.input_bytes / 1e9
                    progress.advance(vectors=outcome.rows_in, gb=gb, quarantined=outcome.rows_quarantined)
                if result.attempt > 1:  # done or given up: next time counting starts again
                    delete_notes(output_version, ATTEMPTS, [item.record])


def _drift(context: JobContext[CompressConfig], outcome: LedgerRecord | Cause) -> Kind:
    """Whether a work item is unlike what the adaptor was fitted on."""
    return "none" if isinstance(outcome, Cause) else Drift.of(context.adaptor, [outcome]).kind
