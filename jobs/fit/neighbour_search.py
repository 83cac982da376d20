"""Neighbours on a Ray cluster, exact unless asked otherwise: every worker searches its shard, the parts are merged by
(similarity, id).

Queries go through in chunks, so a worker holds one shard, one chunk and k numbers per query of the chunk. Rows that
search themselves are in the object store once: a chunk of queries is a stretch of a shard.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import ray
from threadpoolctl import threadpool_limits

from adaptor.approximate import approximate_neighbours
from adaptor.neighbours import Ids, Neighbours, merge, top_k
from adaptor.rows import Floats
from adaptor.settings import Metric
from cluster.settings import ClusterSection

#: Queries of one task. To make unit rows of a shard and take it to a GPU takes longer than such a search there.
_CHUNK_ROWS, _GPU_CHUNK_ROWS = 16_384, 262_144


@dataclass(frozen=True)
class SearchSettings:
    """What is asked of every shard: k neighbours by `metric`; `exclude_self` when queries are rows of the corpus, under
    the same ids."""

    k: int
    metric: Metric
    exclude_self: bool


class Search(Protocol):
    """How preparing the training data asks for neighbours, wherever they are computed."""

    def __call__(
        self,
        queries: Floats,
        corpus: Sequence[Floats],
        k: int,
        *,
        metric: Metric | None = None,
        itself: bool = False,
        nprobe: int | None = None,
    ) -> Neighbours:
        """The k nearest rows of the corpus, whose parts (n, d) are numbered through, for each of `queries` (q, d); by
        the metric of the source, unless another is given.

        With `itself` the queries are the corpus, and none finds its own row. With `nprobe` as well the search is
        approximate and the corpus one part; else it is exact.
        """


def search_on(cluster: ClusterSection, usual: Metric, shards: int) -> Search:
    """Search on the cluster, each part of the corpus cut into at most `shards` shards."""

    def search(
        queries: Floats,
        corpus: Sequence[Floats],
        k: int,
        *,
        metric: Metric | None = None,
        itself: bool = False,
        nprobe: int | None = None,
    ) -> Neighbours:
        """As Search says. An approximate search is one task: the result would depend on how the corpus is cut."""
        if itself and nprobe is not None:
            task = _approximate.options(num_cpus=cluster.cpus_per_worker)
            near: Neighbours = ray.get(task.remote(queries, k, metric or usual, nprobe, cluster.cpus_per_worker))
            return near
        placed = in_shards(corpus, shards)
        settings = SearchSettings(k, metric or usual, itself)
        if itself:
            return _search_all(
                [(rows, ids, s) for rows, ids in placed for s in _chunks(len(ids), cluster)], placed, settings, cluster
            )
        return sharded_top_k(queries, np.arange(len(queries), dtype=np.int64), placed, settings, cluster)

    return search


def in_shards(corpus: Sequence[Floats], shards: int) -> list[tuple[Any, Ids]]:
    """Put the parts of a corpus into the object store, each in at most `shards` shards: (reference, row numbers)."""
    placed, first = [], 0
    for part in corpus:
        numbers = np.arange(first, first + len(part), dtype=np.int64)
        placed += [(ray.put(part[s]), numbers[s]) for s in cut(len(part), shards) if s.stop > s.start]
        first += len(part)
    return placed


def cut(rows: int, parts: int) -> list[slice]:
    """Cut rows 0..rows-1 into at most `parts` contiguous ranges of nearly equal size, none empty."""
    edges = np.linspace(0, rows, min(parts, max(rows, 1)) + 1).astype(int)
    return [slice(int(a), int(b)) for a, b in pairwise(edges)]


def sharded_top_k(
    queries: Floats,
    query_ids: Ids,
    corpus: Sequence[tuple[Any, Ids]],
    settings: SearchSettings,
    cluster: ClusterSection,
) -> Neighbours:
    """Neighbours of `queries` (q, d) in shards given as (reference to float32 (n, d), ids (n,)): the same for any
    cut."""
    chunks = [(ray.put(queries[s]), query_ids[s], slice(None)) for s in _chunks(len(queries), cluster)]
    return _search_all(chunks, corpus, settings, cluster)


def _search_all(
    chunks: Sequence[tuple[Any, Ids, slice]],
    corpus: Sequence[tuple[Any, Ids]],
    settings: SearchSettings,
    cluster: ClusterSection,
) -> Neighbours:
    """The neighbours of all chunks, given as (reference to rows, their ids, which of both): in the order of chunks."""
    task = _search.options(num_cpus=cluster.cpus_per_worker, num_gpus=cluster.gpus_per_worker)
    told = (settings, cluster.cpus_per_worker)
    merged = [
        _merge.remote(settings.k, *(task.remote(rows, names[s], s, vectors, ids, told) for vectors, ids in corpus))
        for rows, names, s in chunks
    ]
    found = ray.get(merged)
    return Neighbours(np.concatenate([f.ids for f in found]), np.concatenate([f.similarities for f in found]))


def _chunks(rows: int, cluster: ClusterSection) -> list[slice]:
    chunks = -(-rows // _CHUNK_ROWS)
    if cluster.gpus_per_worker:  # as few as go, but one for each worker where there is work for all
        chunks = max(-(-rows // _GPU_CHUNK_ROWS), min(chunks, cluster.workers))
    return cut(rows, chunks)


@ray.remote
def _search(
    rows: Floats, names: Ids, chosen: slice, vectors: Floats, ids: Ids, told: tuple[SearchSettings, int]
) -> Neighbours:
    settings, threads = told
    # Ray's limit comes after numpy has been loaded, which then takes all cores for itself.
    with threadpool_limits(threads):
        exclude = names if settings.exclude_self else None
        return top_k(rows[chosen], vectors, ids, settings.k, settings.metric, exclude)


@ray.remote
def _approximate(vectors: Floats, k: int, metric: Metric, nprobe: int, threads: int) -> Neighbours:
    with threadpool_limits(threads):
        return approximate_neighbours(vectors, k, metric, nprobe)


@ray.remote(num_cpus=0)
def _merge(k: int, *parts: Neighbours) -> Neighbours:
    return merge(parts, k)
