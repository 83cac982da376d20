"""`matryoshka compress`: the whole source through the adaptor, each work item exactly once.

1. Open source, adaptor and output version, and check that they fit together. 2. List source and ledger, subtract
(`jobs.commits.work_items`). 3. Actors compress what is left, one output file and one record per work item
(`jobs.compress.shard`). 4. Clean up, report.
A run that was killed anywhere leaves nothing half done: run the same command again.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from adaptor.errors import InputError
from cluster.session import connect
from jobs.commits.context import JobContext
from jobs.commits.failures import failed_names, forget_attempts, noted_attempts, record_failure
from jobs.commits.ledger import list_names, output_keys, quarantine_keys
from jobs.commits.names import QUARANTINE, RecordName
from jobs.commits.output_version import claim
from jobs.commits.work_items import Planner, WorkItem, WorkPlan, cut_twice, undecided
from jobs.compress.cleanup import clean_up
from jobs.compress.preflight import check_dimension, check_quality
from jobs.compress.report import Totals, log_fields, report, summary, whole_output_version
from jobs.config.compress import CompressConfig
from jobs.config.loader import resolved
from jobs.runtime.progress import Progress
from jobs.runtime.summary import summarised
from jobs.sources.columns import describe_vectors
from jobs.sources.source import DESCRIBE_THREADS, Shard, ShardInfo
from jobs.storage.adaptors import beyond_the_head


@dataclass(frozen=True)
class Listing:
    """What was there before the run: `work` is what it leaves to do, `files` are outputs and rejected rows, `failed`
    work items of earlier runs."""

    work: WorkPlan
    files: frozenset[str]
    failed: frozenset[RecordName]
    shards: int


def run(config: CompressConfig, worker: type[Any] | None = None) -> int:
    """Compress what is not compressed yet; 0 when the output version is complete, 1 when work items failed.

    Prints the result to standard output, progress to standard error. `worker` replaces the class that the actors run.
    Raises `InputError` before anything is written when configuration, adaptor and source do not fit together, and for
    bad rows when `reading.bad_rows` is `stop`.
    """
    started = time.time()
    context = JobContext.open(config)
    check_quality(config, context.adaptor)
    listing = list_work(context, config)
    items = _chosen(config, listing)
    check_dimension(context, config, items)
    output_version, work = context.output_version, listing.work
    output_version.check_writable()
    claim(output_version, context.description)
    output_version.put("config.json", resolved(config).encode())
    totals, notes = Totals(items_left=len(work.todo) - len(items)), _notes(context)
    facts = {
        "adaptor_id": context.adaptor.adaptor_id,
        "dim": config.output.dim,
        "shards": listing.shards,
        "notes": notes,
    }
    with summarised(output_version, "compress", started, **facts, **summary(work, totals)) as numbers:
        try:
            if items:
                _compress(context, config, items, totals, worker)
            _finish(context, config, listing, totals)
        finally:
            numbers |= summary(work, totals)
        numbers["output_version"] = whole_output_version(output_version, work, totals)
    sys.stdout.write(report(output_version.uri, work, totals, notes, time.time() - started))
    return 0 if totals.complete else 1


def list_work(context: JobContext, config: CompressConfig) -> Listing:
    """List the source and the output version, and subtract the ledger from the source."""
    output_version, suffix = context.output_version, context.output_format.suffix
    shards = context.source.shards()
    recorded = list_names(output_version)
    outputs = frozenset(
        output_keys(output_version, suffix)
    )  # after the ledger: what a record names was there before it
    split_bytes = config.reading.split_bytes
    described = _describe(context, config, undecided(shards, recorded, split_bytes))
    return Listing(
        work=Planner(split_bytes, suffix).plan(shards, recorded, outputs, described),
        files=outputs.union(quarantine_keys(output_version)),
        failed=frozenset(failed_names(output_version)),
        shards=len(shards),
    )


def _describe(context: JobContext, config: CompressConfig, shards: Sequence[Shard]) -> dict[str, ShardInfo]:
    """The readable ones of the shards by key; one that is not ends the job where bad rows do."""

    def describe(shard: Shard) -> ShardInfo | None:
        """None for an unreadable shard that does not end the job."""
        try:
            return describe_vectors(context.source, shard, config.source)
        except InputError:
            if config.reading.bad_rows == "stop":
                raise
            return None  # its work item will fail and say why

    with ThreadPoolExecutor(DESCRIBE_THREADS) as threads:
        infos = zip((shard.key for shard in shards), threads.map(describe, shards), strict=True)
        return {key: info for key, info in infos if info is not None}


def _chosen(config: CompressConfig, listing: Listing) -> list[WorkItem]:
    """The work items of this run in their order: those that failed before alone, or last, so that they hold up none."""
    failed = [item for item in listing.work.todo if item.record in listing.failed]
    if config.reading.retry_failed:
        return failed
    return [*(item for item in listing.work.todo if item.record not in listing.failed), *failed]


def _notes(context: JobContext) -> list[str]:
    dim, adaptor = context.config.output.dim, context.adaptor
    if dim in adaptor.dims:
        return []
    trained = ", ".join(map(str, adaptor.dims))
    return [
        f"dim {dim} is not one that the adaptor was trained for ({trained}): evaluate it before you rely on it"
        + beyond_the_head(adaptor, [dim])
    ]


def _compress(
    context: JobContext, config: CompressConfig, items: Sequence[WorkItem], totals: Totals, worker: type[Any] | None
) -> None:
    """Stream the work items through the cluster into `totals`. Raises `InputError` when bad rows end the job."""
    cluster, output_version = config.cluster, context.output_version
    workers = min(cluster.workers, len(items))
    with connect(cluster, workers * cluster.cpus_per_worker, workers * cluster.gpus_per_worker):
        from jobs.compress.metrics import Metrics
        from jobs.compress.worker import CompressShards, stream_results

        attempts = noted_attempts(output_version)
        with (
            Progress("compress", total=len(items), unit="work items", rates=("vectors",), log=cluster.log) as progress,
            closing(stream_results(config, items, worker or CompressShards, attempts)) as results,
        ):
            progress.set(vectors=0, gb=0.0, quarantined=0, failed=0)
            metrics = Metrics()
            for result in results:
                cause, record = result.cause, result.record
                metrics.count(result)
                progress.event(result.status, **log_fields(result))
                if result.status == "stop" and cause is not None:
                    raise InputError(cause.reason)
                if cause is not None:
                    record_failure(output_version, result.item, cause)
                    totals.fail(result.item, cause)
                    progress.note(f"failed: {cause.reason}")
                    progress.advance(failed=1)
                elif record is not None:
                    totals.add(result.item, record, result.phases)
                    gb = result.item.input_bytes / 1e9
                    progress.advance(vectors=record.rows_in, gb=gb, quarantined=record.rows_quarantined)
                if result.attempt > 1:  # done or given up: next time counting starts again
                    forget_attempts(output_version, [result.item.record])


def _finish(context: JobContext, config: CompressConfig, listing: Listing, totals: Totals) -> None:
    """Look for shards that another run cut otherwise, delete what the ledger does not account for, count what is
    left."""
    output_version = context.output_version
    superseded = set(listing.work.leftovers)  # about to be deleted
    totals.shards_cut_twice = cut_twice(name for name in list_names(output_version) if name.key not in superseded)
    totals.files_removed = clean_up(context, config, listing.work, totals, files=listing.files, failed=listing.failed)
    # One LIST: rows put aside by earlier runs must not be forgotten because this one found none.
    totals.quarantine_files = sum(1 for _ in output_version.list(QUARANTINE))
