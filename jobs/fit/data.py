"""From the sample to the training set: hold out, mine neighbours, rotate, and add queries when there are any. Arrays
only: what is read, and where neighbours are searched, is the caller's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from adaptor.approximate import recall
from adaptor.errors import InputError
from adaptor.pca import InitialBasis, Moments, rotation
from adaptor.rows import Floats, Ids
from adaptor.selection import better_start
from adaptor.settings import DIM_LADDER
from adaptor.training_job import TrainingJob
from adaptor.training_set import MAX_VALIDATION_ROWS, TRUTH_K, Supervision, TrainingSet, fresh, hold_out
from jobs.config.fit import FitConfig
from jobs.fit.labels import Labelled, NamedRows, relevant_documents, supervise
from jobs.fit.neighbour_search import NeighbourSearch
from jobs.fit.query_log import distinct, join_log
from jobs.fit.sample import Sample
from jobs.sources.queries import Queries

#: Rows whose true neighbours are searched to tell the recall of approximate ones.
_RECALL_ROWS = 1000


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What the stages train on, the basis that it is in, the PCA rotation (d, d), and the original rows that the
    evidence is measured on. `recall` of mined neighbours where they are approximate."""

    job: TrainingJob
    basis: InitialBasis
    pca: Floats
    held_out: Floats
    searched: Floats
    recall: float | None = None


def fitted_dims(config: FitConfig, input_dim: int) -> tuple[int, ...]:
    """The dims to train for vectors of dimension `input_dim`. Raises InputError when the config asks for more."""
    if config.adaptor.dims is None:
        return (*(dim for dim in DIM_LADDER if dim < input_dim), input_dim)
    if config.adaptor.dims[-1] > input_dim:
        raise InputError(
            f"adaptor.dims: {config.adaptor.dims[-1]} is more than the source's dimension {input_dim} "
            f"({config.source.uri}); give dims up to {input_dim}"
        )
    return config.adaptor.dims


def prepare(
    config: FitConfig,
    sample: Sample,
    queries: Labelled | Queries | None,
    search: NeighbourSearch,
    note: Callable[[str], None],
) -> Prepared:
    """Build the training set from the sample and, where there are any, labelled queries or those of a log.

    Raises InputError when queries or qrels do not fit the source.
    """
    seed = config.training.seed
    training, held = hold_out(len(sample.ids), config.mining.held_out, seed)
    rows, held_out = sample.vectors[training], sample.vectors[held]
    # The rotation takes every sampled row: it stays in the product, where a tenth fewer rows would cost quality.
    # Held-out rows enter it by their second moment only, which favours PCA and the adaptor alike.
    pca = rotation(sample.moments)
    neighbours, share = _mined(config, rows, search)
    note(f"mined the {neighbours.shape[1]} nearest neighbours of {len(rows):,} rows; {len(held):,} rows held out")
    if share is not None:
        note(f"the search was approximate: it found {share:.1%} of the true neighbours (mining.nprobe)")
    searched = rows[:MAX_VALIDATION_ROWS]
    unrotated = _basis(config, sample.moments)
    data = TrainingSet(
        corpus=unrotated.transform(rows),
        anchors=len(rows),
        neighbours=neighbours,
        held_out=unrotated.transform(held_out),
        truth=search.search(held_out, searched, TRUTH_K).ids,
        searched=len(searched),
    )
    basis, data = _started(config, unrotated, pca, data)
    if isinstance(queries, Labelled):
        data = supervise(data, queries, NamedRows([sample.ids[i] for i in training], rows), seed, search, basis)
        if data.supervision is not None:
            note(_what_labels(data.supervision))
        held_out = _unseen(held_out, [sample.ids[i] for i in held], queries, note)
    elif queries is not None:
        log = distinct(queries.vectors, config.source.metric, seed)
        data = join_log(data, log, rows, held_out, search, basis, seed)
        note(_what_log(data, len(log)))
    job = _job(config, data)
    return Prepared(job=job, basis=basis, pca=pca, held_out=held_out, searched=searched, recall=share)


def _job(config: FitConfig, data: TrainingSet) -> TrainingJob:
    recipe = config.recipe
    return TrainingJob(
        data=data,
        model=recipe.model,
        loss=recipe.loss.model_copy(update={"temperature": recipe.loss.temperature * data.similarity_spread}),
        training=recipe.training,
        metric=config.source.metric,
        dims=fitted_dims(config, data.corpus.shape[1]),
    )


def _basis(config: FitConfig, moments: Moments) -> InitialBasis:
    """The vectors as they came, but for their length."""
    metric, scale = config.source.metric, 1.0
    if metric != "cosine":
        # Soft-max temperatures are in units of similarity: vectors are brought to length 1 on average.
        scale = float(np.sqrt(np.trace(moments.outer) / moments.rows))
    return InitialBasis(np.eye(len(moments.total), dtype=np.float32), scale, metric)


def _started(
    config: FitConfig, unrotated: InitialBasis, pca: Floats, data: TrainingSet
) -> tuple[InitialBasis, TrainingSet]:
    """The initial basis, and the training set in it."""
    start, dims = config.recipe.model.initialisation, fitted_dims(config, len(pca))
    if start == "auto":
        start = ("pca", "identity")[better_start((pca, unrotated.matrix), data, dims, config.source.metric)]
    if start == "identity":
        return unrotated, replace(data, other_start=pca)
    rotated = replace(data, corpus=data.corpus @ pca, held_out=data.held_out @ pca, other_start=pca.T.copy())
    return replace(unrotated, matrix=pca), rotated


def _mined(config: FitConfig, rows: Floats, search: NeighbourSearch) -> tuple[Ids, float | None]:
    """Neighbours of each of `rows` among the others: exact, or approximate and their recall."""
    k, nprobe = min(config.mining.neighbours, len(rows) - 1), config.mining.nprobe
    near = search.search_within(rows, k, nprobe).ids
    if nprobe is None:
        return near, None
    some = np.unique(np.linspace(0, len(rows) - 1, _RECALL_ROWS).astype(np.int64))
    exact = search.search(rows[some], rows, k + 1).ids
    truth = np.stack([others[others != row][:k] for row, others in zip(some, exact, strict=True)])
    return near, recall(near[some], truth)


def _what_log(data: TrainingSet, of: int) -> str:
    if data.log is None:
        return f"warning: fewer than two of {of:,} queries are no documents of the sample: none is learned from"
    held, count = len(data.log.held_out), len(data.log.held_out) + len(data.log.neighbours)
    left_out = f"; {of - count:,} more are documents of the sample, and left out" if of > count else ""
    return f"{count - held:,} queries without labels (no qrels) to learn from, {held:,} more held out{left_out}"


def _what_labels(labelled: Supervision) -> str:
    return (
        f"{len(labelled.queries):,} labelled queries with {len(labelled.labels.grades):,} positives; "
        f"{len(labelled.held_out):,} more held out, {fresh(labelled.held_out_labels, labelled.labels):,} of them "
        "without a relevant document that training sees"
    )


def _unseen(held_out: Floats, ids: list[str], labelled: Labelled, note: Callable[[str], None]) -> Floats:
    """The held-out rows that the supervised stage did not read as relevant documents: only they are evidence."""
    relevant = relevant_documents(labelled.queries.ids, labelled.qrels)
    unseen = np.array([name not in relevant for name in ids])
    if unseen.any():
        return np.asarray(held_out[unseen])
    note("warning: every held-out row is a relevant document; the evidence is of rows that training saw")
    return held_out
