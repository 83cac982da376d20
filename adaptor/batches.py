"""Which rows a step works on: a pure function of (seed, stage, step), so that neither the number of workers nor a
restart changes it. A worker takes every `size`-th anchor; all workers see the same candidates."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from adaptor.rows import Floats, Ids
from adaptor.training_job import Stage, TrainingJob
from adaptor.training_set import Supervision, TrainingSet

#: Mined negatives of one query in a step (Search-Adaptor: 10 per positive).
_NEGATIVES = 10


@dataclass(frozen=True, kw_only=True)
class AnchorRows:
    """Anchors (p,) of this worker and candidates (q,), as rows of the corpus, and what is known of their pairs (p, q).

    `share` is p over an equal split: data-parallel training averages over workers, so a mean over p times the share
    gives the mean over the step's batch."""

    share: float
    anchors: Ids
    candidates: Ids
    self_pairs: Ids
    """Flat places of the pairs of an anchor with itself."""
    neighbour_mask: NDArray[np.bool_] | None
    """Whether the candidate is a mined neighbour of the anchor; None where no term counts these."""
    batch_mask: NDArray[np.bool_] | None
    """Whether the candidate is an anchor of the step; None where no term counts these."""
    dims: tuple[int, ...]
    """Dims that the step compares, one up to each of the trained ones."""
    noise: Floats | None = None
    """Added to the anchors (p, d), to make something like queries of them."""


@dataclass(frozen=True, kw_only=True)
class QueryRows:
    """Queries (p,) of this worker, documents (q,) and the grade (p, q) of each pair, 0 where unjudged; `share` as
    above."""

    share: float
    queries: Ids
    documents: Ids
    grades: Floats


def anchor_rows(job: TrainingJob, stage: Stage, step: int) -> AnchorRows:
    """Draw the anchors of a step, and as candidates their mined neighbours and random documents.

    Half of the anchors of the stage of a query log are queries, where it has as many.
    """
    data, loss, training, worker = job.data, job.loss, job.training, job.worker
    draw = np.random.default_rng([training.seed, 2, stage.value, step])
    batch = draw.choice(data.anchors, min(training.batch, data.anchors), replace=False)
    documents, near = len(batch), data.neighbours[batch]
    if stage is Stage.QUERY_LOG and data.log is not None:
        answers = data.log.neighbours
        queries = draw.choice(len(answers), min(len(batch) // 2, len(answers)), replace=False)
        documents -= len(queries)
        batch = np.append(batch[:documents], data.anchors + queries)
        near = np.append(near[:documents], answers[queries], axis=0)
    pool = _pool(job, near, batch[:documents], draw)
    own, mine = batch[worker.rank :: worker.size], slice(worker.rank, None, worker.size)
    columns = np.searchsorted(pool, own).clip(max=len(pool) - 1)
    own_candidates = np.flatnonzero(pool[columns] == own)
    noise = None
    if stage is not Stage.SUPERVISED and training.noise:
        noise = np.zeros((len(batch), job.input_dim), np.float32)  # queries stay as they are
        noise[:documents] = _noise(data, training.noise, documents, draw)
    return AnchorRows(
        share=len(own) * worker.size / len(batch),
        anchors=own,
        candidates=pool,
        self_pairs=own_candidates * len(pool) + columns[own_candidates],
        neighbour_mask=_neighbour_mask(near[mine], pool) if loss.topk else None,
        batch_mask=np.broadcast_to(np.isin(pool, batch), (len(own), len(pool))) if loss.pairwise else None,
        dims=_dims(job, step, draw),
        noise=None if noise is None else noise[mine],
    )


def _dims(job: TrainingJob, step: int, draw: np.random.Generator) -> tuple[int, ...]:
    """The trained dims or, in every other step of the list-wise loss, one drawn from between each two of them: what no
    step ever compares would rank worse than the narrower dim before it."""
    if step % 2 == 0 or not job.loss.listwise:
        return job.dims
    edges = (job.dims[0] // 2, *job.dims)
    return tuple(int(draw.integers(first + 1, last + 1)) for first, last in pairwise(edges))


def _pool(job: TrainingJob, near: Ids, documents: Ids, draw: np.random.Generator) -> Ids:
    """Rows of all candidates of a step, ascending: neighbours (p, k), random ones and, where a term asks, anchors."""
    parts = [near.ravel()]
    if job.training.candidates:
        parts.append(draw.choice(job.data.anchors, min(job.training.candidates, job.data.anchors), replace=False))
    if job.loss.pairwise:
        parts.append(documents)  # queries are no documents of the source
    pool = np.unique(np.concatenate(parts))
    return pool[pool >= 0]  # -1 fills the list of a row that has fewer neighbours than k


def _noise(data: TrainingSet, most: float, rows: int, draw: np.random.Generator) -> Floats:
    """Gaussian noise in all coordinates, of a strength between none and the most for each row: float32 (n, d)."""
    strength = draw.uniform(0, most, (rows, 1)).astype(np.float32)
    noise: Floats = draw.standard_normal((rows, len(data.noise_scale)), np.float32) * (strength * data.noise_scale)
    return noise


def _neighbour_mask(mined: Ids, pool: Ids) -> NDArray[np.bool_]:
    """Which of the pool (q,) are mined neighbours (p, k): (p, q)."""
    mask = np.zeros((len(mined), len(pool)), bool)
    rows, columns = np.nonzero(mined >= 0)
    mask[rows, np.searchsorted(pool, mined[rows, columns])] = True
    return mask


def query_rows(job: TrainingJob, supervision: Supervision, step: int) -> QueryRows:
    """Draw the labelled queries of a step, with their positives, some mined negatives and random documents."""
    data, training, worker = job.data, job.training, job.worker
    draw = np.random.default_rng([training.seed, 3, Stage.SUPERVISED.value, step])
    count = len(supervision.queries)
    batch = draw.choice(count, min(training.batch, count), replace=False)
    mined = supervision.negatives[batch]
    if mined.shape[1] > _NEGATIVES:
        mined = mined[:, draw.choice(mined.shape[1], _NEGATIVES, replace=False)]
    random = draw.choice(len(data.corpus), min(training.candidates, len(data.corpus)), replace=False)
    labels = supervision.labels
    positives = labels.documents[np.isin(labels.queries, batch)]
    pool = np.unique(np.concatenate([mined.ravel(), random, positives]))
    pool = pool[pool >= 0]
    own = batch[worker.rank :: worker.size]
    judged = labels.of(own)
    grades = np.zeros((len(own), len(pool)), np.float32)
    grades[judged.queries, np.searchsorted(pool, judged.documents)] = judged.grades
    return QueryRows(share=len(own) * worker.size / len(batch), queries=own, documents=pool, grades=grades)
