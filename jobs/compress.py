"""`matryoshka compress`: the whole store through the adaptor, each work item exactly once.

1. Check adaptor, store and output. 2. List store and ledger, subtract (`jobs.store.plan`). 3. Actors compress what is
left, one output file and one record per work item (`jobs.compress_worker`, `jobs.compress_shard`). 4. Tidy up, report.
A run that was killed anywhere leaves nothing half done: run the same command again.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from adaptor.artefact import Adaptor
from adaptor.errors import InputError
from cluster.session import connect
from jobs.config.commands import CompressConfig
from jobs.generation import check_apart, claim, describe, open_adaptor, open_generation
from jobs.progress import Progress
from jobs.store.ledger import DATA, Record, list_names, output_keys, quarantine_key, read_record, retire
from jobs.store.objects import Objects, open_objects
from jobs.store.plan import Plan, WorkItem, orphans, plan, undecided
from jobs.store.shards import Footer, Shard, list_shards, read_footer
from jobs.summary import write_summary

_SHOWN_FAILURES = 20
_FOOTER_THREADS = 16


@dataclass
class Totals:
    """What this run did, added up from the records."""

    items: int = 0
    rows_in: int = 0
    rows_out: int = 0
    rows_quarantined: int = 0
    duplicate_ids: int = 0
    input_bytes: int = 0
    output_bytes: int = 0
    failed: list[dict[str, str]] = field(default_factory=list)

    def add(self, item: WorkItem, record: Record) -> None:
        """Count a finished work item."""
        self.items += 1
        self.rows_in += record.rows_in
        self.rows_out += record.rows_out
        self.rows_quarantined += record.rows_quarantined
        self.duplicate_ids += record.duplicate_ids or 0
        self.input_bytes += item.input_bytes
        self.output_bytes += record.output_bytes


def run(config: CompressConfig, worker: type[Any] | None = None) -> int:
    """Compress what is not compressed yet; 0 when the generation is complete, 1 when work items failed.

    Prints the result to standard output, progress to standard error. `worker` replaces the class that the actors run.
    Raises `InputError` before anything is written when configuration, adaptor and store do not fit together, and for
    bad rows when `reading.bad_rows` is `stop`.
    """
    started = time.time()
    adaptor = open_adaptor(config.adaptor, config.store)
    check_apart(config.store, config.output)
    store = open_objects(config.store.uri, config.store.filesystem)
    shards = list_shards(store)
    generation = open_generation(config.output, adaptor, config.adaptor.width)
    generation.check_writable()
    claim(generation, describe(config.store, adaptor, config.adaptor.width, config.output))
    generation.put("config.json", config.model_dump_json(indent=2).encode() + b"\n")
    work = _plan(config, store, shards, generation)
    totals = Totals()
    if work.todo:
        _check_dimension(config, adaptor, store, work.todo)
        _compress(config, work, totals, worker)
    tidied = _tidy(config, generation, work) if not totals.failed else 0
    numbers = _numbers(adaptor, shards, work, totals) | {"files_removed": tidied}
    write_summary(generation, "compress", numbers, started)
    _report(generation, work, totals, time.time() - started)
    return 1 if totals.failed else 0


def _plan(config: CompressConfig, store: Objects, shards: Sequence[Shard], generation: Objects) -> Plan:
    """Subtract the ledger from the store, and strike off the records whose output is gone."""
    recorded = list_names(generation)
    split = config.reading.split_bytes
    large = undecided(shards, recorded, split)

    def footer(shard: Shard) -> Footer | None:
        try:
            return read_footer(store, shard, config.store)
        except InputError:
            if config.reading.bad_rows == "stop":
                raise
            return None  # its work item will fail and say why

    with ThreadPoolExecutor(_FOOTER_THREADS) as threads:
        footers = dict(zip((shard.key for shard in large), threads.map(footer, large), strict=True))
    known = {key: footer for key, footer in footers.items() if footer is not None}
    work = plan(shards, recorded, set(output_keys(generation)), known, split)
    for name in work.void:
        generation.delete(name.key)
    return work


def _compress(config: CompressConfig, work: Plan, totals: Totals, worker: type[Any] | None) -> None:
    cluster = config.cluster
    workers = min(cluster.workers, len(work.todo))
    cpus, gpus = workers * cluster.cpus_per_worker, workers * cluster.gpus_per_worker
    with connect(cluster, cpus, gpus):
        from jobs.compress_worker import CompressShards, stream_results

        unit = "shards" if all(item.row_groups is None for item in work.todo) else "work items"
        with (
            Progress("compress", total=len(work.todo), unit=unit, rates=("vectors",)) as progress,
            closing(stream_results(config, work.todo, worker or CompressShards)) as results,
        ):
            progress.set(vectors=0, gb=0.0, quarantined=0, failed=0)
            for result in results:
                if result.status == "stop":
                    raise InputError(result.message)
                if result.record is None:
                    totals.failed.append({"shard": result.item.title, "reason": result.message})
                    progress.note(f"failed: {result.message}")
                    progress.advance(failed=1)
                    continue
                record = result.record
                totals.add(result.item, record)
                gb = result.item.input_bytes / 1e9
                progress.advance(vectors=record.rows_in, gb=gb, quarantined=record.rows_quarantined)


def _check_dimension(config: CompressConfig, adaptor: Adaptor, store: Objects, items: Sequence[WorkItem]) -> None:
    """`InputError` when the first readable shard holds vectors that the adaptor does not take."""
    from jobs.sample import dimension

    for item in items[:_SHOWN_FAILURES]:
        try:
            found = dimension(config.store, [item.shard], [read_footer(store, item.shard, config.store)])
        except InputError:
            if config.reading.bad_rows == "stop":
                raise
            continue
        if found != adaptor.dim:
            raise InputError(
                f"the vectors of {config.store.uri} have {found} dimensions ({item.shard.key}), the adaptor in "
                f"{config.adaptor.uri} takes {adaptor.dim}: give the adaptor that was fitted on this store"
            )
        return


def _tidy(config: CompressConfig, generation: Objects, work: Plan) -> int:
    """Delete what the ledger no longer accounts for; with `output.removed: delete` also what left the store."""
    removed = [read_record(generation, name) for name in work.removed]
    kept = removed if config.output.removed == "keep" else []
    if config.output.removed == "delete":
        for record in removed:
            retire(generation, record)
    known = {item.output for item in (*work.todo, *work.done)} | {record.output for record in kept}
    extra = [*work.leftovers, *orphans(output_keys(generation), known)]
    for key in extra:
        generation.delete(key)
        if key.startswith(DATA):
            generation.delete(quarantine_key(key))
    return len(extra) + len(removed) - len(kept)


def _numbers(adaptor: Adaptor, shards: Sequence[Shard], work: Plan, totals: Totals) -> dict[str, Any]:
    return {
        "status": "incomplete" if totals.failed else "complete",
        "adaptor_id": adaptor.adaptor_id,
        "shards": len(shards),
        "work_items_done_before": len(work.done),
        "work_items_done": totals.items,
        "work_items_failed": len(totals.failed),
        "shards_removed_from_store": len({name.shard for name in work.removed}),
        "rows_in": totals.rows_in,
        "rows_out": totals.rows_out,
        "rows_quarantined": totals.rows_quarantined,
        "duplicate_ids": totals.duplicate_ids,
        "input_bytes": totals.input_bytes,
        "output_bytes": totals.output_bytes,
        "failed": totals.failed,
    }


def _report(generation: Objects, work: Plan, totals: Totals, seconds: float) -> None:
    lines = []
    if not work.todo:
        lines.append(f"nothing to do: all {len(work.done):,} work items are done")
    else:
        lines.append(
            f"{totals.items:,} work items compressed in {seconds:.1f} s ({len(work.done):,} were done before): "
            f"{totals.rows_in:,} vectors in, {totals.rows_out:,} out, "
            f"{totals.input_bytes / 1e9:.3g} GB in, {totals.output_bytes / 1e9:.3g} GB out"
        )
    if totals.rows_quarantined:
        lines.append(f"{totals.rows_quarantined:,} rows are in quarantine: {generation.uri}/_quarantine/")
    if totals.duplicate_ids:
        lines.append(f"{totals.duplicate_ids:,} rows have an id that an earlier row of their shard has")
    if totals.failed:
        lines.append(f"{len(totals.failed):,} work items failed; run the same command again to try only them:")
        lines += [f"  {failure['reason']}" for failure in totals.failed[:_SHOWN_FAILURES]]
        if len(totals.failed) > _SHOWN_FAILURES:
            lines.append(f"  … and {len(totals.failed) - _SHOWN_FAILURES:,} more, see summary.json")
    lines.append(generation.uri)
    sys.stdout.write("\n".join(lines) + "\n")
