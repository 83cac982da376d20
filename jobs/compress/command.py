"""`matryoshka compress`: the whole source through the adaptor, each work item exactly once.

1. Check adaptor, source and output. 2. List source and ledger, subtract (`jobs.commits.work_items`). 3. Actors compress
what is left, one output file and one record per work item (`jobs.compress`). 4. Tidy up, report. A run that was killed
anywhere leaves nothing half done: run the same command again.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import Any

from adaptor.artefact import Adaptor
from adaptor.errors import InputError, RunError
from cluster.session import connect
from jobs.adaptors import beyond_the_head, open_adaptor
from jobs.commits.failures import failed_names, forget_attempts, noted_attempts, record_failure
from jobs.commits.ledger import QUARANTINE, RecordName, list_names, output_keys, quarantine_keys
from jobs.commits.output_version import check_apart, claim, describe, open_output_version
from jobs.commits.work_items import Plan, WorkItem, cut_twice, plan, undecided
from jobs.compress.cleanup import clean_up
from jobs.compress.preflight import check_dimension, check_quality
from jobs.compress.report import Totals, report, summary, told, whole_output_version
from jobs.config.commands import CompressConfig
from jobs.runtime.progress import Progress
from jobs.runtime.summary import write_summary
from jobs.sources.parquet import FOOTER_THREADS, Footer, Shard, list_shards, read_footer
from jobs.storage.objects import Objects
from jobs.storage.open import open_objects


def run(config: CompressConfig, worker: type[Any] | None = None) -> int:
    """Compress what is not compressed yet; 0 when the output version is complete, 1 when work items failed.

    Prints the result to standard output, progress to standard error. `worker` replaces the class that the actors run.
    Raises `InputError` before anything is written when configuration, adaptor and source do not fit together, and for
    bad rows when `reading.bad_rows` is `stop`.
    """
    started = time.time()
    adaptor = open_adaptor(config.adaptor, config.source)
    check_quality(config, adaptor)
    check_apart(config.source, config.output)
    source = open_objects(config.source.uri, config.source.filesystem)
    shards = list_shards(source)
    output_version = open_output_version(config.output, adaptor, config.output.dim)
    recorded = list_names(output_version)
    outputs = set(output_keys(output_version))  # after the ledger: what a record names was there before it
    work = _plan(config, source, shards, recorded, outputs)
    files = outputs.union(quarantine_keys(output_version))
    failed_before = failed_names(output_version)
    tried = _chosen(config, work, failed_before)
    check_dimension(config, adaptor, tried)
    output_version.check_writable()
    claim(output_version, describe(config.source, adaptor, config.output.dim, config.output))
    output_version.put("config.json", config.model_dump_json(indent=2).encode() + b"\n")
    totals, notes = Totals(items_left=len(work.todo) - len(tried)), _notes(config, adaptor)
    facts = {"adaptor_id": adaptor.adaptor_id, "dim": config.output.dim, "shards": len(shards), "notes": notes}
    # Until the run ends, and for good when it is killed.
    write_summary(output_version, "compress", facts | summary(work, totals) | {"status": "running"}, started)
    try:
        if tried:
            _compress(config, tried, output_version, totals, worker)
        superseded = set(work.leftovers)  # about to be deleted
        totals.shards_cut_twice = cut_twice(name for name in list_names(output_version) if name.key not in superseded)
        totals.files_removed = clean_up(config, (source, output_version), work, (files, failed_before), totals)
        # One LIST: rows put aside by earlier runs must not be forgotten because this one found none.
        totals.quarantine_files = sum(1 for _ in output_version.list(QUARANTINE))
    except Exception:
        with suppress(InputError, RunError):  # in an outage of the output the first problem is the one to tell
            write_summary(output_version, "compress", facts | summary(work, totals) | {"status": "failed"}, started)
        raise
    numbers = facts | summary(work, totals) | {"output_version": whole_output_version(output_version, work, totals)}
    write_summary(output_version, "compress", numbers, started)
    sys.stdout.write(report(output_version.uri, work, totals, notes, time.time() - started))
    return 0 if totals.complete else 1


def _chosen(config: CompressConfig, work: Plan, failed_before: Set[RecordName]) -> list[WorkItem]:
    """The work items of this run in their order: those that failed before alone, or last, so that they hold up none."""
    failed = [item for item in work.todo if item.record in failed_before]
    if config.reading.retry_failed:
        return failed
    return [*(item for item in work.todo if item.record not in failed_before), *failed]


def _plan(
    config: CompressConfig, source: Objects, shards: Sequence[Shard], recorded: Sequence[RecordName], outputs: Set[str]
) -> Plan:
    """Subtract the ledger from the source."""
    split = config.reading.split_bytes
    large = undecided(shards, recorded, split)

    def footer(shard: Shard) -> Footer | None:
        """None for an unreadable shard that does not end the job."""
        try:
            return read_footer(source, shard, config.source)
        except InputError:
            if config.reading.bad_rows == "stop":
                raise
            return None  # its work item will fail and say why

    with ThreadPoolExecutor(FOOTER_THREADS) as threads:
        footers = dict(zip((shard.key for shard in large), threads.map(footer, large), strict=True))
    known = {key: footer for key, footer in footers.items() if footer is not None}
    return plan(shards, recorded, outputs, known, split)


def _notes(config: CompressConfig, adaptor: Adaptor) -> list[str]:
    dim = config.output.dim
    if dim in adaptor.dims:
        return []
    trained = ", ".join(map(str, adaptor.dims))
    return [
        f"dim {dim} is not one that the adaptor was trained for ({trained}): evaluate it before you rely on it"
        + beyond_the_head(adaptor, [dim])
    ]


def _compress(
    config: CompressConfig,
    items: Sequence[WorkItem],
    output_version: Objects,
    totals: Totals,
    worker: type[Any] | None,
) -> None:
    """Stream the work items through the cluster into `totals`. Raises `InputError` when bad rows end the job."""
    cluster = config.cluster
    workers = min(cluster.workers, len(items))
    with connect(cluster, workers * cluster.cpus_per_worker, workers * cluster.gpus_per_worker):
        from jobs.compress.metrics import Metrics
        from jobs.compress.worker import CompressShards, stream_results

        with (
            Progress("compress", total=len(items), unit="work items", rates=("vectors",), log=cluster.log) as progress,
            closing(stream_results(config, items, worker or CompressShards, noted_attempts(output_version))) as results,
        ):
            progress.set(vectors=0, gb=0.0, quarantined=0, failed=0)
            metrics = Metrics()
            for result in results:
                cause, record = result.cause, result.record
                metrics.count(result)
                progress.event(result.status, **told(result))
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
