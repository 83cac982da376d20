"""Work items on Ray Data: descriptors go in, records come out; crashes are counted, so none is retried for ever."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, cast

import pyarrow as pa
import ray
import ray.data
from pydantic import TypeAdapter

from adaptor.errors import InputError, RunError
from cluster.malloc_tuning import keep_freed_memory
from jobs.commits.failures import Cause, Tried
from jobs.commits.ledger import LedgerRecord
from jobs.commits.names import RecordName
from jobs.commits.work_items import WorkItem
from jobs.compress.attempts import Begun, Pulse, start_attempts
from jobs.compress.blocks import blocks, work
from jobs.compress.shard import ShardCompressor
from jobs.config.compress import CompressConfig
from jobs.runtime.scratch import sweep

ItemStatus = Literal["done", "failed", "stop"]

#: Blocks of the dataset of descriptors at most, or somewhat more: each is an object that the driver keeps track of.
_MOST_BLOCKS = 4096
#: Work in a block while much is left, in bytes: Ray spends some 10 ms of the machine on each, as a small shard takes.
_BLOCK_BYTES = 256 << 20
#: Freed memory that a worker keeps for the next batch: some batches of results, ids and payload.
_KEPT_BYTES = 256 << 20


@dataclass(frozen=True)
class Result:
    """What became of a work item: its `record` when done; the `cause` when it failed or is to stop the job.

    `attempt` counts from 1. `seconds` are those of the last attempt, `phases` the same by phase, when it was done.
    """

    item: WorkItem
    status: ItemStatus
    attempt: int
    seconds: float
    phases: dict[str, float]
    cause: Cause | None = None
    record: LedgerRecord | None = None


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
        results = [self._result(_ITEM.validate_json(text)) for text in table.column("item").to_pylist()]
        return pa.table({"result": [_RESULT.dump_json(result).decode() for result in results]})

    def _result(self, item: WorkItem) -> Result:
        began = time.monotonic()
        attempt, outcome = self._attempt(item)
        seconds = time.monotonic() - began
        if isinstance(outcome, LedgerRecord):
            return Result(item, "done", attempt, seconds, self._compressor.seconds, record=outcome)
        if isinstance(outcome, InputError):
            return Result(item, "stop", attempt, seconds, {}, Cause("data", str(outcome), attempt))
        return Result(item, "failed", attempt, seconds, {}, outcome)

    def compress(self, item: WorkItem) -> LedgerRecord:
        """Do one work item."""
        return self._compressor.compress(item)

    @cached_property
    def _compressor(self) -> ShardCompressor:
        return ShardCompressor(self._config)

    def _attempt(self, item: WorkItem) -> tuple[int, LedgerRecord | Cause | InputError]:
        """The number of the attempt and what came of it; an `InputError` is to stop the job."""
        key = item.record.key
        begun: Begun = ray.get(self._attempts.begin.remote(key, ray.get_runtime_context().current_actor))
        outcome = self._outcome(item, begun)
        ended = "done" if isinstance(outcome, LedgerRecord) else outcome if isinstance(outcome, Cause) else "stop"
        self._attempts.end.remote(key, ended)  # not waited for: what this worker begins next is told after it
        return begun.attempt, outcome

    def _outcome(self, item: WorkItem, begun: Begun) -> LedgerRecord | Cause | InputError:
        try:
            if begun.attempt > 1 and (record := self._compressor.committed(item, begun.done)) is not None:
                return record
            if begun.cause is not None:
                return begun.cause
            if begun.attempt > self._config.reading.attempts:
                return self._given_up(item, begun)
            if begun.attempt > 1:  # this one, too: it may take the driver with it
                self._compressor.note(item, Tried(begun.attempt, begun.timed_out))
            self._compressor.low_memory = begun.attempt > 1
            self._compressor.on_batch = Pulse(self._attempts, item.record.key, self._config.reading.timeout_seconds)
            return self.compress(item)
        except InputError as problem:
            stop = self._config.reading.bad_rows == "stop"
            return InputError(_text(problem)) if stop else Cause("data", _text(problem), begun.attempt)
        except RunError as problem:
            return Cause("outage", _text(problem), begun.attempt)

    def _given_up(self, item: WorkItem, begun: Begun) -> Cause:
        tried, late, limit = begun.attempt - 1, begun.timed_out, self._config.reading.timeout_seconds
        if late == tried:
            why = f"made no progress for {limit:g} s, {tried} times: raise reading.timeout_seconds if it is merely slow"
            return Cause("timeout", f"{item.title} {why}", tried)
        why = f"killed its worker {tried - late} times: out of memory, or a file that crashes the reader"
        also = f"; {late} times it made no progress for {limit:g} s" if late else ""
        return Cause("crash", f"{item.title} {why}{also}", tried)


def _text(problem: Exception) -> str:
    """What it says, without half characters, which JSON does not carry."""
    return str(problem).encode(errors="backslashreplace").decode()


def stream_results(
    config: CompressConfig,
    items: Sequence[WorkItem],
    worker: type[CompressShards] = CompressShards,
    tried: Mapping[RecordName, Tried] | None = None,
) -> Generator[Result, None, None]:
    """Do the work items on the connected cluster, longest first; results come as the blocks finish.

    `worker` is what the actors run; earlier runs have `tried` some items in vain. The driver holds the descriptors and
    one block of results.
    """
    cluster = config.cluster
    parts = min(_MOST_BLOCKS, -(-work(items) // _BLOCK_BYTES))
    tables = [
        pa.table({"item": [_ITEM.dump_json(item).decode() for item in block]})
        for block in blocks(items, parts, cluster.workers)
    ]
    before = {name.key: times for name, times in (tried or {}).items()}
    attempts = start_attempts(config.reading.timeout_seconds, before)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    results = ray.data.from_arrow(tables).map_batches(
        worker,
        fn_constructor_args=(config.model_dump_json(), attempts),
        batch_size=None if cluster.gpus_per_worker == 0 else 1,  # with GPUs, Ray insists on a number
        batch_format="pyarrow",
        # With one task each, Ray Data (2.60) lets one actor of two work at a time. With two, the next is there when
        # one ends; what waits behind a long one is small, as the longest come first (plan.blocks).
        compute=ray.data.ActorPoolStrategy(size=min(cluster.workers, len(tables)), max_tasks_in_flight_per_actor=2),
        num_cpus=cluster.cpus_per_worker,
        num_gpus=cluster.gpus_per_worker,
    )
    for rows in results.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        for text in cast(pa.Table, rows).column("result").to_pylist():
            yield _RESULT.validate_json(text)
