"""Work items on Ray Data: descriptors go in, results come out; crashes are counted, so none is retried for ever."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from functools import cached_property
from typing import Any, cast

import pyarrow as pa
import ray
import ray.data
from pydantic import TypeAdapter

from adaptor.errors import InputError, RunError
from cluster.malloc_tuning import keep_freed_memory
from cluster.placement import start_beside_driver
from cluster.session import room_for_workers
from cluster.settings import ClusterSection
from jobs.commits.failures import AttemptCount, Cause, Kind, note_attempts
from jobs.commits.ledger import LedgerRecord, read_record
from jobs.commits.work_items import WorkItem
from jobs.compress.attempts import Attempt, Attempts, Heartbeat
from jobs.compress.blocks import blocks, work
from jobs.compress.report import Result
from jobs.compress.shard import ShardCompressor
from jobs.config.compress import CompressConfig
from jobs.runtime.scratch import sweep
from jobs.storage.objects import RefusedError, ThrottledError

#: Blocks of the dataset of descriptors at most, or somewhat more: each is an object that the driver keeps track of.
_MOST_BLOCKS = 4096
#: Work in a block while much is left, in bytes: Ray spends some 10 ms of the machine on each, as a small shard takes.
_BLOCK_BYTES = 256 << 20
#: How often a work item is begun that the store throttles: some two minutes of waiting beside the clients' own retries.
_THROTTLED_TRIES = 8
#: Freed memory that a worker keeps for the next batch: some batches of results, ids and payload.
_KEPT_BYTES = 256 << 20

_ITEM, _RESULT = TypeAdapter(WorkItem), TypeAdapter(Result)


class CompressShards:
    """Callable for `map_batches`: compresses the work items of a block one after another, one result row for each."""

    def __init__(self, config_json: str, attempts: Any) -> None:
        self._config = CompressConfig.model_validate_json(config_json)
        self._attempts = attempts
        keep_freed_memory(_KEPT_BYTES)
        sweep()

    def __call__(self, table: pa.Table) -> pa.Table:
        """Rows of `descriptors` in, rows of results out. Errors of ours become results; defects are raised."""
        results = [self._attempt(_ITEM.validate_json(text)) for text in table.column("item").to_pylist()]
        return pa.table({"result": [_RESULT.dump_json(result).decode() for result in results]})

    def compress(self, item: WorkItem) -> LedgerRecord:
        """Do one work item."""
        return self._compressor.compress(item)

    @cached_property
    def _compressor(self) -> ShardCompressor:
        return ShardCompressor(self._config)

    def _attempt(self, item: WorkItem) -> Result:
        key, began = item.record.key, time.monotonic()
        attempt: Attempt = ray.get(self._attempts.begin.remote(key, ray.get_runtime_context().current_actor))
        outcome = self._outcome(item, attempt)
        failed = isinstance(outcome, Cause)
        self._attempts.end.remote(
            key, outcome if failed else "done"
        )  # not waited for: it arrives before the next begin
        phases = {} if failed else self._compressor.seconds
        return Result(item, outcome, attempt.number, time.monotonic() - began, phases)

    def _outcome(self, item: WorkItem, attempt: Attempt) -> LedgerRecord | Cause:
        name, repeated, reading = item.record, attempt.number > 1, self._config.reading
        try:
            compressor = self._compressor
            compressor.seconds = {}
            output_version = compressor.context.output_version
            # An earlier attempt may have committed the item. A record that was there before has lost its output.
            counts = attempt.outcome == "done" or not item.recorded
            if repeated and counts and output_version.stat(name.key) is not None:
                return read_record(output_version, name)
            if isinstance(attempt.outcome, Cause):
                return attempt.outcome
            if attempt.number > reading.attempts:
                return self._give_up(item, attempt)
            if repeated:  # this one, too: it may take the driver with it
                note_attempts(output_version, name, AttemptCount(attempt.number, attempt.timed_out))
            compressor.low_memory = repeated
            compressor.on_batch = Heartbeat(self._attempts, name.key, reading.timeout_seconds)
            return self._compress_patiently(item, attempt.wait)
        except InputError as problem:
            kind: Kind = "refused" if isinstance(problem, RefusedError) else "data"
            return Cause(kind, _text(problem), attempt.number)
        except RunError as problem:
            return Cause("outage", _text(problem), attempt.number)

    def _compress_patiently(self, item: WorkItem, wait: float) -> LedgerRecord:
        """Do a work item; after `wait` seconds, and again where the store throttles it. All workers wait together."""
        for tries_left in reversed(range(_THROTTLED_TRIES)):
            time.sleep(wait)
            try:
                return self.compress(item)
            except ThrottledError:
                if not tries_left:
                    raise
                wait = ray.get(self._attempts.throttled.remote(item.record.key))
        raise AssertionError

    def _give_up(self, item: WorkItem, attempt: Attempt) -> Cause:
        attempts, late, limit = attempt.number - 1, attempt.timed_out, self._config.reading.timeout_seconds
        if late == attempts:
            reason = (
                f"made no progress for {limit:g} s, {late} times: raise reading.timeout_seconds if it is merely slow"
            )
            return Cause("timeout", f"{item.title} {reason}", attempts)
        reason = f"killed its worker {attempts - late} times: out of memory, or a file that crashes the reader"
        also = f"; {late} times it made no progress for {limit:g} s" if late else ""
        return Cause("crash", f"{item.title} {reason}{also}", attempts)


def _text(problem: Exception) -> str:
    """Its message without half characters, which JSON does not carry."""
    return str(problem).encode(errors="backslashreplace").decode()


def _pool(cluster: ClusterSection, blocks: int) -> ray.data.ActorPoolStrategy:
    """As many actors as the cluster has room for: more as nodes join it, fewer as they leave."""
    most = min(cluster.max_workers, blocks)
    return ray.data.ActorPoolStrategy(
        min_size=min(cluster.min_workers, blocks),
        max_size=most,
        initial_size=min(room_for_workers(cluster), most),
        # With one task each, Ray Data (2.60) lets one actor of two work at a time. With two, the next is there when
        # one ends; what waits behind a long one is small, as the longest come first (`blocks`).
        max_tasks_in_flight_per_actor=2,
    )


def stream_results(
    config: CompressConfig,
    items: Sequence[WorkItem],
    worker: type[CompressShards] = CompressShards,
    noted: Mapping[str, AttemptCount] | None = None,
) -> Generator[Result, None, None]:
    """Do the work items on the connected cluster; results come as the blocks finish. `worker` is what the actors run,
    `noted` are attempts of earlier runs. The driver holds the descriptors and one block of results."""
    cluster = config.cluster
    parts = min(_MOST_BLOCKS, -(-work(items) // _BLOCK_BYTES))
    tables = [
        pa.table({"item": [_ITEM.dump_json(item).decode() for item in block]})
        for block in blocks(items, parts, cluster.max_workers)
    ]
    attempts = start_beside_driver(Attempts, config.reading.timeout_seconds, noted)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    results = ray.data.from_arrow(tables).map_batches(
        worker,
        fn_constructor_args=(config.model_dump_json(), attempts),
        batch_size=None if cluster.gpus_per_worker == 0 else 1,  # with GPUs, Ray insists on a number
        batch_format="pyarrow",
        compute=_pool(cluster, len(tables)),
        num_cpus=cluster.cpus_per_worker,
        num_gpus=cluster.gpus_per_worker,
    )
    for rows in results.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        for text in cast(pa.Table, rows).column("result").to_pylist():
            yield _RESULT.validate_json(text)
