"""The supervised stage's data: labelled queries, the documents they name, and mined negatives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import ray

from adaptor.artefact import Floats
from adaptor.errors import InputError
from adaptor.neighbours import Ids
from adaptor.training_set import Labels, Supervision, TrainingSet, hold_out
from jobs.config.commands import FitConfig
from jobs.fitting.sample import read_documents
from jobs.fitting.search import SampledRows, SearchSettings, sharded_top_k
from jobs.store.shards import Shard
from jobs.store.tables import read_qrels, read_queries

#: Nearest unjudged documents kept per training query, to draw negatives from; share of the queries that is held out.
_NEGATIVES, _HELD_OUT_QUERIES = 30, 0.1


def supervise(
    config: FitConfig, shards: list[Shard], data: TrainingSet, rows: SampledRows, turn: Callable[[Floats], Floats]
) -> tuple[TrainingSet, frozenset[str]]:
    """Add queries, graded labels and mined negatives when the config names them; `turn` puts vectors in started
    coordinates.

    Relevant documents that are not training rows are read from the store and join the corpus; their ids come back too.
    Raises InputError when queries or qrels do not fit the store.
    """
    if config.queries is None or config.qrels is None:
        return data, frozenset()
    queries = read_queries(config.queries, data.corpus.shape[1])
    qrels = read_qrels(config.qrels)
    wanted = frozenset(d for q in queries.ids for d, grade in qrels.get(q, {}).items() if grade > 0)
    place = {name: row for row, name in enumerate(rows.ids)}
    extra = read_documents(config.store, shards, wanted - place.keys(), data.corpus.shape[1])
    place |= {name: len(rows.ids) + i for i, name in enumerate(sorted(extra))}
    found, labels = _labels(queries.ids, qrels, place)
    if len(found) < 2:
        raise InputError(
            f"qrels {config.qrels.uri}: {len(found)} queries of {config.queries.uri} have a relevant document in the "
            "store (at least 2 are needed); check the id columns, the split and the store"
        )
    added = np.stack([extra[name] for name in sorted(extra)]) if extra else rows.vectors[:0]
    numbers = np.arange(len(rows.ids), len(rows.ids) + len(added), dtype=np.int64)
    corpus = [*rows.shards, (ray.put(added), numbers)] if len(added) else rows.shards
    training, held = hold_out(len(found), _HELD_OUT_QUERIES, config.training.seed)
    vectors = queries.vectors[found]
    supervision = Supervision(
        turn(vectors[training]),
        labels.of(training),
        _negatives(config, vectors[training], labels.of(training), corpus),
        turn(vectors[held]),
        labels.of(held),
    )
    joined = replace(data, corpus=np.concatenate([data.corpus, turn(added)]), supervision=supervision)
    return joined, frozenset(extra)


def _labels(ids: list[str], qrels: dict[str, dict[str, int]], place: dict[str, int]) -> tuple[Ids, Labels]:
    """Numbers of the queries that have a relevant document in the corpus, and their labels."""
    found: list[int] = []
    triples: list[tuple[int, int, int]] = []
    for number, name in enumerate(ids):
        own = sorted((place[d], g) for d, g in qrels.get(name, {}).items() if g > 0 and d in place)
        if own:
            triples += [(len(found), row, grade) for row, grade in own]
            found.append(number)
    table = np.array(triples, np.int64).reshape(-1, 3)
    return np.array(found, np.int64), Labels(table[:, 0], table[:, 1], table[:, 2].astype(np.float32))


def _negatives(config: FitConfig, queries: Floats, labels: Labels, corpus: list[tuple[Any, Ids]]) -> Ids:
    """The nearest documents of each query that are not relevant to it, (q, 30), -1 where there are fewer."""
    most = int(np.bincount(labels.queries).max())
    settings = SearchSettings(_NEGATIVES + most, config.store.metric, False)
    nobody = np.full(len(queries), -1, np.int64)
    near = sharded_top_k(queries, nobody, corpus, settings, config.cluster).ids
    relevant = set(zip(labels.queries.tolist(), labels.documents.tolist(), strict=True))
    kept = [[d for d in row if d >= 0 and (q, d) not in relevant][:_NEGATIVES] for q, row in enumerate(near.tolist())]
    return np.array([row + [-1] * (_NEGATIVES - len(row)) for row in kept], np.int64)
