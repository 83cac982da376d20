"""Approximate neighbours within one set of rows, by faiss's inverted file (IVF): k-means cells, a few of which are
looked into. Only for mining, where asked for; whoever uses it measures `recall` and says it."""

from __future__ import annotations

import math

import faiss
import numpy as np

from adaptor.neighbours import Neighbours
from adaptor.rows import Floats, Ids, unit_rows
from adaptor.settings import Metric

#: Cells per square root of the rows, and rows per cell that k-means learns from (both as faiss recommends).
_CELLS, _ROWS_PER_CELL = 4, 64


def approximate_neighbours(vectors: Floats, k: int, metric: Metric, nprobe: int) -> Neighbours:
    """About the k nearest other rows of each of `vectors` (n, d), named by their numbers.

    Each row looks into the `nprobe` cells nearest to it; where those hold fewer than k others, the rest is missing. The
    same rows give the same result.
    """
    rows = np.ascontiguousarray(unit_rows(vectors) if metric == "cosine" else vectors)
    count, dim = rows.shape
    cells = max(1, min(round(_CELLS * math.sqrt(count)), count // _ROWS_PER_CELL))
    quantizer, kind = (
        (faiss.IndexFlatL2(dim), faiss.METRIC_L2)
        if metric == "l2"
        else (faiss.IndexFlatIP(dim), faiss.METRIC_INNER_PRODUCT)
    )
    index = faiss.IndexIVFFlat(quantizer, dim, cells, kind)
    index.cp.max_points_per_centroid = _ROWS_PER_CELL
    index.train(rows)
    index.add(rows)
    index.nprobe = min(nprobe, cells)
    scores, ids = index.search(rows, k + 1)
    ids[ids == np.arange(count)[:, None]] = -1
    # The others in their order: where a row did not find itself (equal rows crowd it out), the last of them is dropped.
    order = np.argsort(ids < 0, axis=1, kind="stable")[:, :k]
    ids, scores = np.take_along_axis(ids, order, 1), np.take_along_axis(scores, order, 1)
    similarities = np.where(ids < 0, -np.inf, -scores if metric == "l2" else scores).astype(np.float32)
    return Neighbours(ids.astype(np.int64), similarities)


def recall(neighbours: Ids, truth: Ids) -> float:
    """Share of the true neighbours (q, k) that are among the `neighbours` (q, k)."""
    return float(np.mean([np.isin(true, near).mean() for true, near in zip(truth, neighbours, strict=True)]))
