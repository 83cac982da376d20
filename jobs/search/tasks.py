"""The search of a whole source as Ray tasks: runs of neighbouring shards go out, their results are joined as they come.

A run is large beside its result (the best rows of every query, per column). The driver holds two results, however many
shards there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce

import ray
from threadpoolctl import threadpool_limits

from cluster.settings import ClusterSection
from jobs.runtime.progress import Progress
from jobs.runtime.task_pool import completed
from jobs.search.source_search import SearchResult, SearchSpec, join, search_shards
from jobs.sources.source import Shard

_SMALL_RUN, _LARGE_RUN = 256 << 20, 16 << 30
_RUNS_PER_WORKER = 16

#: Shards with their positions in the source's list.
NumberedShards = list[tuple[int, Shard]]


def search_source(
    spec: SearchSpec, shards: Sequence[Shard], cluster: ClusterSection, progress: Progress
) -> SearchResult:
    """Search all shards, at most `cluster.max_workers` runs at a time; the result does not depend on the runs. Raises
    what reading raises (InputError, RunError), and RunError when workers keep dying."""
    task = _search.options(num_cpus=cluster.cpus_per_worker, num_gpus=cluster.gpus_per_worker)
    shared = ray.put(spec)
    calls = ((shared, run, cluster.cpus_per_worker) for run in cut_runs(shards, cluster.max_workers))

    def results() -> Iterator[SearchResult]:
        """One of each run, as they complete."""
        for (_, run, _), result in completed(task, calls, cluster.max_workers, "searched the source"):
            progress.advance(len(run), vectors=result.rows, left_out=result.left_out.total())
            yield result

    return reduce(join, results())


@ray.remote
def _search(spec: SearchSpec, run: NumberedShards, threads: int) -> SearchResult:
    # Ray's limit comes after numpy has been loaded, which then takes all cores for itself.
    with threadpool_limits(threads):
        return search_shards(spec, run)


def cut_runs(shards: Sequence[Shard], workers: int) -> Iterator[NumberedShards]:
    """Cut the shards, in order, into runs of about equal bytes: at least one per worker where there are enough."""
    total = sum(shard.size for shard in shards)
    target = min(max(total // (workers * _RUNS_PER_WORKER), _SMALL_RUN), _LARGE_RUN, max(1, -(-total // workers)))
    run: NumberedShards = []
    size = 0
    for index, shard in enumerate(shards):
        if run and size + shard.size // 2 > target:
            yield run
            run, size = [], 0
        run.append((index, shard))
        size += shard.size
    if run:
        yield run
