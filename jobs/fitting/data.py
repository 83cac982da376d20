"""From the sample to the training set: hold out, mine neighbours, rotate, and add the labelled queries when there are
any."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from adaptor.artefact import Floats
from adaptor.neighbours import Ids
from adaptor.pca import rotation
from adaptor.training_set import JUDGED_K, MOST_JUDGED, TrainingSet, hold_out, started
from jobs.config.commands import FitConfig
from jobs.fitting.labels import supervise
from jobs.fitting.sample import Sample
from jobs.fitting.search import SampledRows, SearchSettings, in_shards, sharded_top_k
from jobs.store.shards import Shard


@dataclass(frozen=True)
class Prepared:
    """The training set, the maps that led to it, and the original rows that the evidence is measured on."""

    data: TrainingSet
    start: Floats
    pca: Floats
    scale: float
    held_out: Floats
    searched: Floats


def prepare(config: FitConfig, shards: list[Shard], sample: Sample, note: Callable[[str], None]) -> Prepared:
    """Build the training set from the sample. Raises InputError when queries or qrels do not fit the store."""
    training, held = hold_out(len(sample.vectors), config.mining.held_out, config.training.seed)
    held_out, searched = sample.vectors[held], min(MOST_JUDGED, len(training))
    # The rotation takes every sampled row: it stays in the product, where a tenth fewer rows would cost quality.
    # Held-out rows enter it by their second moment only, which favours PCA and the adaptor alike.
    pca = rotation(sample.moments)
    start = pca if config.adaptor.start == "pca" else np.eye(len(pca), dtype=np.float32)
    metric = config.store.metric
    # Soft-max temperatures are in units of similarity: other metrics are brought to vectors of length 1 on average.
    scale = 1.0 if metric == "cosine" else float(np.sqrt(np.trace(sample.moments.outer) / sample.moments.rows))
    rows = in_shards(sample.vectors[training], [sample.ids[i] for i in training], config.mining.shards)
    neighbours, truth = _mine(config, rows, held_out, searched)
    note(f"mined the {neighbours.shape[1]} nearest neighbours of {len(training):,} rows; {len(held):,} rows held out")
    data = TrainingSet(
        started(rows.vectors, start, scale, metric),
        len(training),
        neighbours,
        started(held_out, start, scale, metric),
        truth,
        searched,
    )
    data, read = supervise(config, shards, data, rows, lambda vectors: started(vectors, start, scale, metric))
    if data.supervision is not None:
        asked = data.supervision
        note(
            f"{len(asked.queries):,} labelled queries with {len(asked.labels.grades):,} positives; "
            f"{len(asked.held_out):,} more held out"
        )
    unseen = _unseen(held_out, [sample.ids[i] for i in held], read, note)
    return Prepared(data, start, pca, scale, unseen, rows.vectors[:searched])


def _unseen(held_out: Floats, ids: list[str], read: frozenset[str], note: Callable[[str], None]) -> Floats:
    """The held-out rows that the supervised stage did not read as relevant documents: only they are evidence."""
    unseen = np.array([name not in read for name in ids])
    if unseen.any():
        kept: Floats = held_out[unseen]
        return kept
    note("warning: every held-out row is a relevant document; the evidence is of rows that training saw")
    return held_out


def _mine(config: FitConfig, rows: SampledRows, held_out: Floats, searched: int) -> tuple[Ids, Ids]:
    """Neighbours of every training row among the others, and of the held-out rows among the first `searched`."""
    count, metric = len(rows.vectors), config.store.metric
    numbers = np.arange(count, dtype=np.int64)
    k = min(config.mining.neighbours, count - 1)
    mined = sharded_top_k(rows.vectors, numbers, rows.shards, SearchSettings(k, metric, True), config.cluster)
    first = in_shards(rows.vectors[:searched], [], config.mining.shards).shards
    nobody = np.full(len(held_out), -1, np.int64)
    truth = sharded_top_k(held_out, nobody, first, SearchSettings(JUDGED_K, metric, False), config.cluster)
    return mined.ids, truth.ids
