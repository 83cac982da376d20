"""Neighbours on a Ray cluster, exact unless asked otherwise. Every task searches the whole corpus, which lies in the
object store of a node once, for a chunk of the queries."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import ray
from threadpoolctl import threadpool_limits

from adaptor.approximate import approximate_neighbours
from adaptor.neighbours import Neighbours, top_k
from adaptor.rows import Floats, unit_rows
from adaptor.settings import Metric
from cluster.settings import ClusterSection

#: Queries of one task: at most, and at least before another worker is given some. To take a corpus to a GPU takes long.
_CHUNK_ROWS, _GPU_CHUNK_ROWS = (16_384, 1_024), (262_144, 16_384)


@dataclass(frozen=True)
class NeighbourSearch:
    """How preparing the training data asks for neighbours: by `metric`, the similarity of the source."""

    cluster: ClusterSection
    metric: Metric

    def search(self, queries: Floats, corpus: Floats, k: int, *, metric: Metric | None = None) -> Neighbours:
        """The k nearest rows of `corpus` (n, d), by number, for each of `queries` (q, d); by the metric of the source,
        unless another is given."""
        metric = metric or self.metric
        return self._in_chunks(_put(queries, metric), len(queries), _put(corpus, metric), k, metric)

    def search_within(self, rows: Floats, k: int, nprobe: int | None = None) -> Neighbours:
        """The k nearest other ones of each of `rows` (n, d): exact or, with `nprobe`, approximate."""
        if nprobe is None:
            corpus = _put(rows, self.metric)
            return self._in_chunks(corpus, len(rows), corpus, k, self.metric)
        # One task: the result would depend on how the rows are cut.
        task = _approximate.options(num_cpus=self.cluster.cpus_per_worker)
        near: Neighbours = ray.get(task.remote(rows, k, self.metric, nprobe, self.cluster.cpus_per_worker))
        return near

    def chunks(self, rows: int) -> list[slice]:
        """The queries of each task: contiguous ranges of nearly equal size, as many for each worker where they can
        be."""
        workers = self.cluster.max_workers
        most, least = _GPU_CHUNK_ROWS if self.cluster.gpus_per_worker else _CHUNK_ROWS
        count = max(-(-rows // most), min(-(-rows // least), workers), 1)
        if count > workers:
            count = -(-count // workers) * workers
        edges = np.linspace(0, rows, count + 1).astype(int)
        return [slice(int(start), int(stop)) for start, stop in pairwise(edges)]

    def _in_chunks(self, queries: Any, rows: int, corpus: Any, k: int, metric: Metric) -> Neighbours:
        """Where `queries` and `corpus` are the same reference, no row finds itself."""
        cluster = self.cluster
        settings = _Settings(k=k, metric=metric, itself=queries is corpus, threads=cluster.cpus_per_worker)
        task = _search.options(num_cpus=cluster.cpus_per_worker, num_gpus=cluster.gpus_per_worker)
        near = ray.get([task.remote(queries, chunk, corpus, settings) for chunk in self.chunks(rows)])
        return Neighbours(np.concatenate([n.ids for n in near]), np.concatenate([n.similarities for n in near]))


@dataclass(frozen=True, kw_only=True)
class _Settings:
    k: int
    metric: Metric
    itself: bool
    threads: int


def _put(rows: Floats, metric: Metric) -> Any:
    """A reference to rows in the object store: made unit rows here, and not by each task, for the cosine."""
    return ray.put(unit_rows(rows) if metric == "cosine" else rows)


@ray.remote
def _search(queries: Floats, chunk: slice, corpus: Floats, settings: _Settings) -> Neighbours:
    numbers = np.arange(len(corpus), dtype=np.int64)
    metric: Metric = "dot" if settings.metric == "cosine" else settings.metric  # the rows have length 1
    # Ray's limit comes after numpy has been loaded, which then takes all cores for itself.
    with threadpool_limits(settings.threads):
        exclude = numbers[chunk] if settings.itself else None
        return top_k(queries[chunk], corpus, numbers, settings.k, metric, exclude)


@ray.remote
def _approximate(vectors: Floats, k: int, metric: Metric, nprobe: int, threads: int) -> Neighbours:
    with threadpool_limits(threads):
        return approximate_neighbours(vectors, k, metric, nprobe)
