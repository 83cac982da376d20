"""What is there before a run: the source and the output version listed, and what they leave to do."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from adaptor.errors import InputError
from jobs.commits.context import JobContext
from jobs.commits.failures import FAILED
from jobs.commits.ledger import list_names, output_keys, quarantine_keys
from jobs.commits.names import RecordName
from jobs.commits.work_items import Planner, WorkItem, WorkPlan, undecided
from jobs.config.compress import CompressConfig
from jobs.sources.columns import describe_vectors
from jobs.sources.source import DESCRIBE_THREADS, Shard, ShardInfo
from jobs.storage.objects import RefusedError


@dataclass(frozen=True)
class Listing:
    """Number of shards, the plan that they and the ledger give, keys of all outputs and rejected rows (`files`), and
    the work items that earlier runs gave up as failed."""

    shards: int
    plan: WorkPlan
    files: frozenset[str]
    failed: frozenset[RecordName]

    def items(self, retry_failed: bool) -> list[WorkItem]:
        """The work items to do, in order. Failed ones come last, so that they hold up none, or alone."""
        if retry_failed:
            return [item for item in self.plan.todo if item.record in self.failed]
        return sorted(self.plan.todo, key=lambda item: item.record in self.failed)


def list_work(context: JobContext[CompressConfig]) -> Listing:
    """List the source and the output version, and subtract the ledger from the source."""
    output_version, suffix = context.output_version, context.output_format.suffix
    split_bytes = context.config.reading.split_bytes
    shards = context.source.shards()
    recorded = list_names(output_version)
    outputs = frozenset(output_keys(output_version, suffix))  # after the records: what these name was there before
    described = _describe(context, undecided(shards, recorded, split_bytes))
    return Listing(
        shards=len(shards),
        plan=Planner(split_bytes, suffix).plan(shards, recorded, outputs, described),
        files=outputs.union(quarantine_keys(output_version)),
        failed=frozenset(list_names(output_version, FAILED)),
    )


def _describe(context: JobContext[CompressConfig], shards: Sequence[Shard]) -> dict[str, ShardInfo]:
    """The readable shards by key. A damaged one ends the job where bad rows do; else, and where its store refuses to
    give it, its work item will fail."""
    tolerated = RefusedError if context.config.reading.bad_rows == "stop" else InputError

    def describe(shard: Shard) -> ShardInfo | None:
        """The shard described; None where it cannot be and that is tolerated."""
        with suppress(tolerated):
            return describe_vectors(context.source, shard, context.config.source)
        return None

    with ThreadPoolExecutor(DESCRIBE_THREADS) as threads:
        infos = zip(shards, threads.map(describe, shards), strict=True)
        return {shard.key: info for shard, info in infos if info is not None}
