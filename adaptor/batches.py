"""Which rows a step works on: a pure function of (seed, stage, step), so that neither the number of workers nor a
restart changes it. A worker takes every `size`-th anchor; all workers see the same candidates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adaptor.neighbours import Ids
from adaptor.rows import Floats
from adaptor.settings import LossSettings, TrainingSettings
from adaptor.training_set import QueryLog, Supervision, TrainingSet

#: The stages, in the numbers that checkpoints and the draws of batches use.
ROTATION, LABELS, NARROW = 1, 2, 3
STAGES = {ROTATION: "unsupervised", LABELS: "labels", NARROW: "low-dimensional outputs"}
#: Mined negatives of one query in a step (Search-Adaptor: 10 per positive).
_NEGATIVES = 10


@dataclass(frozen=True)
class World:
    """This worker's place among the workers."""

    rank: int = 0
    size: int = 1


@dataclass(frozen=True)
class AnchorRows:
    """SampledQueries (p,) of this worker and candidates (q,). Of their pairs (p, q): the flat places of anchors with
    themselves and, where a term counts them, whether one is of a mined neighbour, or of another anchor of the step.
    `shift` (p, d), where there is any, is added to the anchors to make something like queries of them.
    `share` is p over an equal split: data-parallel training averages over workers, so a mean over p times the share
    gives the mean over the step's batch."""

    share: float
    anchors: Ids
    candidates: Ids
    itself: Ids
    neighbour: NDArray[np.bool_] | None
    batch: NDArray[np.bool_] | None
    shift: Floats | None = None


@dataclass(frozen=True)
class QueryRows:
    """Queries (p,) of this worker, documents (q,) and the grade (p, q) of each pair, 0 where unjudged; `share` as
    above."""

    share: float
    queries: Ids
    documents: Ids
    grades: NDArray[np.float32]


def anchor_rows(
    data: TrainingSet, loss: LossSettings, training: TrainingSettings, key: tuple[int, int], world: World
) -> AnchorRows:
    """Draw the anchors and candidates of step `key` = (stage, step). Up to half of the low-dimensional head's anchors
    are queries without labels, where there are any."""
    draw = np.random.default_rng([training.seed, 2, *key])
    batch = draw.choice(data.anchors, min(training.batch, data.anchors), replace=False)
    documents, near = len(batch), data.neighbours[batch]
    if key[0] == NARROW and data.log is not None:
        queries, answers = _some_queries(data.log, len(batch), draw)
        documents -= len(queries)
        batch, near = np.append(batch[:documents], queries), np.append(near[:documents], answers, axis=0)
    parts = [near.ravel()]
    if training.candidates:
        parts.append(draw.choice(data.anchors, min(training.candidates, data.anchors), replace=False))
    if loss.pairwise:
        parts.append(batch[:documents])  # queries are no documents of the source
    pool = np.unique(np.concatenate(parts))
    pool = pool[pool >= 0]  # -1 fills the list of a row that has fewer neighbours than k
    own = batch[world.rank :: world.size]
    place = np.searchsorted(pool, own).clip(max=len(pool) - 1)
    itself = np.flatnonzero(pool[place] == own)
    shift = None
    if key[0] == NARROW and (training.head_noise or training.narrow_tilt):
        shift = np.zeros((len(batch), data.corpus.shape[1]), np.float32)  # queries stay as they are
        shift[:documents] = _query_like(data, training, batch[:documents], draw)
    return AnchorRows(
        len(own) * world.size / len(batch),
        own,
        pool,
        itself * len(pool) + place[itself],
        _neighbours(near[world.rank :: world.size], pool) if loss.topk else None,
        np.broadcast_to(np.isin(pool, batch), (len(own), len(pool))) if loss.pairwise else None,
        None if shift is None else shift[world.rank :: world.size],
    )


def _some_queries(log: QueryLog, batch: int, draw: np.random.Generator) -> tuple[Ids, Ids]:
    """Rows and neighbours of the queries of a step: half of the batch, where there are as many."""
    chosen = draw.choice(len(log.neighbours), min(batch // 2, len(log.neighbours)), replace=False)
    return log.first + chosen, log.neighbours[chosen]


def _query_like(data: TrainingSet, training: TrainingSettings, batch: Ids, draw: np.random.Generator) -> Floats:
    """What anchors become without being documents any more, less the anchors (p, d): their large coordinates less
    large, plus Gaussian noise of the corpus's spread and of an anchor's own strength between none and the most."""
    strength = draw.uniform(0, training.head_noise, (len(batch), 1)).astype(np.float32)
    noise = draw.standard_normal((len(batch), len(data.spread)), np.float32) * (strength * data.spread)
    shift: Floats = data.corpus[batch] * (data.tilt(training.narrow_tilt) - 1) + noise
    return shift


def _neighbours(mined: Ids, pool: Ids) -> NDArray[np.bool_]:
    """Which of the pool (q,) are mined neighbours (p, k): (p, q)."""
    neighbour = np.zeros((len(mined), len(pool)), bool)
    rows, columns = np.nonzero(mined >= 0)
    neighbour[rows, np.searchsorted(pool, mined[rows, columns])] = True
    return neighbour


def query_rows(
    data: TrainingSet, supervision: Supervision, training: TrainingSettings, key: tuple[int, int], world: World
) -> QueryRows:
    """Draw the queries of step `key`, with their positives, some mined negatives and random documents."""
    draw = np.random.default_rng([training.seed, 3, *key])
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
    own = batch[world.rank :: world.size]
    judged = labels.of(own)
    grades = np.zeros((len(own), len(pool)), np.float32)
    grades[judged.queries, np.searchsorted(pool, judged.documents)] = judged.grades
    return QueryRows(len(own) * world.size / len(batch), own, pool, grades)
