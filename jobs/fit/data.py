"""From the sample to the training set: hold out, mine neighbours, rotate, and add queries when there are any. Arrays
only: what is read, and where neighbours are searched, is the caller's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from adaptor.approximate import recall
from adaptor.neighbours import Ids
from adaptor.pca import rotation
from adaptor.rows import Floats
from adaptor.training_set import MAX_VALIDATION_ROWS, VALIDATION_K, Supervision, TrainingSet, fresh, hold_out, started
from jobs.config.fit import FitConfig
from jobs.fit.labels import Labelled, NamedRows, supervise
from jobs.fit.neighbour_search import Search
from jobs.fit.query_log import join_log
from jobs.fit.sample import Sample

#: Rows whose true neighbours are searched to tell the recall of approximate ones.
_RECALL_ROWS = 1000


@dataclass(frozen=True)
class Prepared:
    """The training set, the maps that led to it, and the original rows that the evidence is measured on. `recall` of
    mined neighbours where they are approximate."""

    data: TrainingSet
    start: Floats
    pca: Floats
    scale: float
    held_out: Floats
    searched: Floats
    recall: float | None = None


def prepare(
    config: FitConfig,
    sample: Sample,
    queries: Labelled | Floats | None,
    search: Search,
    note: Callable[[str], None],
) -> Prepared:
    """Build the training set from the sample and, where there are any, labelled queries or those of a log (q, d).

    Raises InputError when queries or qrels do not fit the source.
    """
    training, held = hold_out(len(sample.vectors), config.mining.held_out, config.training.seed)
    rows, held_out = sample.vectors[training], sample.vectors[held]
    searched = min(MAX_VALIDATION_ROWS, len(training))
    # The rotation takes every sampled row: it stays in the product, where a tenth fewer rows would cost quality.
    # Held-out rows enter it by their second moment only, which favours PCA and the adaptor alike.
    pca = rotation(sample.moments)
    start = pca if config.adaptor.initialisation == "pca" else np.eye(len(pca), dtype=np.float32)
    metric = config.source.metric
    # Soft-max temperatures are in units of similarity: other metrics are brought to vectors of length 1 on average.
    scale = 1.0 if metric == "cosine" else float(np.sqrt(np.trace(sample.moments.outer) / sample.moments.rows))
    neighbours, found = _mined(config, rows, search)
    truth = search(held_out, [rows[:searched]], VALIDATION_K).ids
    note(f"mined the {neighbours.shape[1]} nearest neighbours of {len(training):,} rows; {len(held):,} rows held out")
    if found is not None:
        note(f"the search was approximate: it found {found:.1%} of the true neighbours (mining.nprobe)")
    data = TrainingSet(
        started(rows, start, scale, metric),
        len(training),
        neighbours,
        started(held_out, start, scale, metric),
        truth,
        searched,
    )
    read = frozenset[str]()
    if isinstance(queries, Labelled):
        named = NamedRows([sample.ids[i] for i in training], rows)
        data, read = supervise(config, queries, data, named, search, lambda v: started(v, start, scale, metric))
        if data.supervision is not None:
            note(_what_labels(data.supervision))
    elif queries is not None:
        # What a log's queries are is up to `read_query_log`: their lengths are not those of documents.
        by = scale if metric == "l2" else 1.0
        turn = partial(started, start=start, scale=by, metric=metric)
        data, count = join_log(data, queries, (rows, held_out), metric, search, turn)
        note(_what_log(count, len(queries) - count))
    unseen = _unseen(held_out, [sample.ids[i] for i in held], read, note)
    return Prepared(data, start, pca, scale, unseen, rows[:searched], found)


def _what_log(count: int, documents: int) -> str:
    if not count:
        return f"warning: all {documents:,} queries are documents of the sample: none is left to learn from"
    known = f"; {documents:,} more are documents of the sample, and left out" if documents else ""
    return f"{count:,} queries without labels (no qrels) for low-dimensional outputs to learn from{known}"


def _what_labels(told: Supervision) -> str:
    return (
        f"{len(told.queries):,} labelled queries with {len(told.labels.grades):,} positives; "
        f"{len(told.held_out):,} more held out, {fresh(told.held_out_labels, told.labels):,} of them without a "
        "relevant document that training sees"
    )


def _mined(config: FitConfig, rows: Floats, search: Search) -> tuple[Ids, float | None]:
    """Neighbours of each of `rows` among the others: exact, or approximate and their recall."""
    k = min(config.mining.neighbours, len(rows) - 1)
    if config.mining.nprobe is None:
        return search(rows, [rows], k, itself=True).ids, None
    found = search(rows, [rows], k, itself=True, nprobe=config.mining.nprobe).ids
    asked = np.unique(np.linspace(0, len(rows) - 1, _RECALL_ROWS).astype(np.int64))
    near = search(rows[asked], [rows], k + 1).ids
    truth = np.stack([others[others != row][:k] for row, others in zip(asked, near, strict=True)])
    return found, recall(found[asked], truth)


def _unseen(held_out: Floats, ids: list[str], read: frozenset[str], note: Callable[[str], None]) -> Floats:
    """The held-out rows that the supervised stage did not read as relevant documents: only they are evidence."""
    unseen = np.array([name not in read for name in ids])
    if unseen.any():
        kept: Floats = held_out[unseen]
        return kept
    note("warning: every held-out row is a relevant document; the evidence is of rows that training saw")
    return held_out
