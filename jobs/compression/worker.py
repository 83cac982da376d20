"""Work items on Ray Data: descriptors go in, records come out; crashes are counted, so none is retried for ever."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal, cast

import pyarrow as pa
import ray
import ray.data
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from adaptor.errors import InputError, RunError
from jobs.compression.shard import ShardCompressor
from jobs.config.commands import CompressConfig
from jobs.store.ledger import Record, RowGroups
from jobs.store.plan import WorkItem, blocks
from jobs.store.scratch import sweep
from jobs.store.shards import Shard

Status = Literal["done", "failed", "stop"]

#: Most blocks of the dataset of descriptors: each is an object that the driver keeps track of.
_MOST_BLOCKS = 4096
_RESULT = pa.schema([(name, pa.string()) for name in ("item", "status", "message", "record")])


@dataclass(frozen=True)
class Result:
    """What became of a work item: its `record` when done; a `message` when it failed, or when the job is to stop."""

    item: WorkItem
    status: Status
    message: str
    record: Record | None


class Attempts:
    """Ray actor that remembers, for as long as the job lasts, how often each work item was begun and which failed."""

    def __init__(self) -> None:
        self._begun: Counter[str] = Counter()
        self._failed: dict[str, str] = {}

    def begin(self, key: str) -> tuple[int, str | None]:
        """Count a start; gives the number of starts, this one included, and the message if it has already failed."""
        self._begun[key] += 1
        return self._begun[key], self._failed.get(key)

    def fail(self, key: str, message: str) -> None:
        """Remember that a work item failed for good."""
        self._failed[key] = message


class CompressShards:
    """Callable for `map_batches`: compresses the work items of a block one after another, one result row for each."""

    def __init__(self, config_json: str, attempts: Any) -> None:
        self._config = CompressConfig.model_validate_json(config_json)
        self._attempts = attempts
        sweep()

    def __call__(self, table: pa.Table) -> pa.Table:
        """Rows of `descriptors` in, rows of results out. Errors of ours become results; defects are raised."""
        rows = []
        for text in table.column("item").to_pylist():
            status, message, record = self._attempt(item_from_json(text))
            rows.append((text, status, message, None if record is None else record.to_json().decode()))
        return pa.table([pa.array(column, pa.string()) for column in zip(*rows, strict=True)], schema=_RESULT)

    def compress(self, item: WorkItem) -> Record:
        """Do one work item."""
        return self._compressor.compress(item)

    @cached_property
    def _compressor(self) -> ShardCompressor:
        return ShardCompressor(self._config)

    def _attempt(self, item: WorkItem) -> tuple[Status, str, Record | None]:
        key, most = item.record.key, self._config.reading.attempts
        begun, failed = ray.get(self._attempts.begin.remote(key))
        try:
            if begun > 1 and (record := self._compressor.committed(item)) is not None:
                return "done", "", record
            if failed is None and begun > most:
                failed = (
                    f"{item.title} killed its worker {most} times: out of memory, or a file that crashes the reader"
                )
            if failed is not None:
                return "failed", failed, None
            return "done", "", self.compress(item)
        except (InputError, RunError) as problem:
            if isinstance(problem, InputError) and self._config.reading.bad_rows == "stop":
                return "stop", str(problem), None
            ray.get(self._attempts.fail.remote(key, str(problem)))
            return "failed", str(problem), None


def stream_results(
    config: CompressConfig, items: Sequence[WorkItem], worker: type[CompressShards] = CompressShards
) -> Generator[Result, None, None]:
    """Do the work items on the connected cluster, longest first; results come as the blocks finish.

    `worker` is what the actors run. The driver holds the descriptors and one block of results.
    """
    cluster = config.cluster
    tables = [pa.table({"item": [item_to_json(item) for item in block]}) for block in blocks(items, _MOST_BLOCKS)]
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    counter = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Attempts)
    attempts = counter.options(scheduling_strategy=here).remote()
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    results = ray.data.from_arrow(tables).map_batches(
        worker,
        fn_constructor_args=(config.model_dump_json(), attempts),
        batch_size=None if cluster.gpus_per_worker == 0 else 1,  # with GPUs, Ray insists on a number
        batch_format="pyarrow",
        # One task at a time: items wait in one queue for whoever is free, not behind a long one.
        compute=ray.data.ActorPoolStrategy(size=min(cluster.workers, len(tables)), max_tasks_in_flight_per_actor=1),
        num_cpus=cluster.cpus_per_worker,
        num_gpus=cluster.gpus_per_worker,
    )
    for rows in results.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        for row in cast(pa.Table, rows).to_pylist():
            record = None if row["record"] is None else Record.from_json(row["record"])
            yield Result(item_from_json(row["item"]), row["status"], row["message"], record)


def item_to_json(item: WorkItem) -> str:
    """A work item as text."""
    return json.dumps(asdict(item))


def item_from_json(text: str) -> WorkItem:
    """The work item that `item_to_json` wrote."""
    fields = json.loads(text)
    run = fields["row_groups"]
    return WorkItem(
        shard=Shard(**fields["shard"]),
        row_groups=None if run is None else RowGroups(**run),
        input_bytes=fields["input_bytes"],
        stale_records=tuple(fields["stale_records"]),
        stale_outputs=tuple(fields["stale_outputs"]),
    )
