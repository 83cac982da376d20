"""The search of a whole source as Ray tasks: runs of neighbouring shards go out, what they hold is joined as it comes.

A run is large enough that its result (the best rows of every query, per column) is small beside it, and the driver
holds one joined result and one coming in, however many shards there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import ray
from ray.exceptions import OutOfMemoryError, RayTaskError, WorkerCrashedError
from threadpoolctl import threadpool_limits

from adaptor.errors import InputError, RunError
from cluster.settings import ClusterSection
from jobs.runtime.progress import Progress
from jobs.search.source_search import SearchResult, SearchSpec, join, search_shards
from jobs.sources.source import Shard

_SMALL_RUN, _LARGE_RUN = 256 << 20, 16 << 30
_RUNS_PER_WORKER = 16

PlacedShards = list[tuple[int, Shard]]


def search_source(
    spec: SearchSpec, shards: Sequence[Shard], cluster: ClusterSection, progress: Progress
) -> SearchResult:
    """Search all shards, at most `cluster.workers` runs at a time; the result does not depend on how they are cut.

    Raises what the reading side raises (InputError, RunError), and RunError when workers keep dying.
    """
    task = _search.options(num_cpus=cluster.cpus_per_worker, num_gpus=cluster.gpus_per_worker)
    spec_reference = ray.put(spec)
    waiting = cut_runs(shards, cluster.workers)
    running: dict[Any, int] = {}
    result: SearchResult | None = None
    try:
        while True:
            while len(running) < cluster.workers and (run := next(waiting, None)):
                running[task.remote(spec_reference, run, cluster.cpus_per_worker)] = len(run)
            if not running:
                break
            ready, _ = ray.wait(list(running), num_returns=1)
            part = _result(ready[0])
            progress.advance(running.pop(ready[0]), vectors=part.rows, left_out=part.left_out.total())
            result = part if result is None else join(result, part)
    finally:
        for reference in running:
            ray.cancel(reference, force=True)
    if result is None:
        raise ValueError("no shards to search")
    return result


@ray.remote
def _search(spec: SearchSpec, run: PlacedShards, threads: int) -> SearchResult:
    # Ray's limit comes after numpy has been loaded, which then takes all cores for itself.
    with threadpool_limits(threads):
        return search_shards(spec, run)


def cut_runs(shards: Sequence[Shard], workers: int) -> Iterator[PlacedShards]:
    """Cut the shards, in order, into runs of about equal bytes: at least one per worker where there are enough."""
    total = sum(shard.size for shard in shards)
    target = min(max(total // (workers * _RUNS_PER_WORKER), _SMALL_RUN), _LARGE_RUN, max(1, -(-total // workers)))
    run: PlacedShards = []
    size = 0
    for place, shard in enumerate(shards):
        if run and size + shard.size // 2 > target:
            yield run
            run, size = [], 0
        run.append((place, shard))
        size += shard.size
    if run:
        yield run


def _result(reference: Any) -> SearchResult:
    try:
        part: SearchResult = ray.get(reference)
    except RayTaskError as problem:
        if isinstance(problem.cause, InputError | RunError):
            raise problem.cause from None
        raise
    except (OutOfMemoryError, WorkerCrashedError) as problem:
        raise RunError(f"a worker died again and again while it searched the source: {problem}") from problem
    return part
