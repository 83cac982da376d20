"""The supervised stage's data: labelled queries, the documents they name, and mined negatives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from adaptor.errors import InputError
from adaptor.neighbours import Ids
from adaptor.rows import Floats
from adaptor.training_set import Labels, Supervision, TrainingSet, hold_out_queries
from jobs.config.fit import FitConfig
from jobs.fit.neighbour_search import Search
from jobs.fit.sample import Sample
from jobs.sources.queries import Queries, read_qrels, read_queries
from jobs.sources.source import Shard
from jobs.sources.whole_source import read_documents

#: Nearest unjudged documents kept per training query, to draw negatives from; share of the queries that is held out.
_NEGATIVES, _HELD_OUT_QUERIES = 30, 0.1


@dataclass(frozen=True)
class Labelled:
    """Queries with their judgments, the vector float32 (d,) of every relevant document that the source has, by id, and
    the name of all this in messages."""

    name: str
    queries: Queries
    qrels: Mapping[str, Mapping[str, int]]
    documents: Mapping[str, Floats]


@dataclass(frozen=True)
class NamedRows:
    """Rows (n, d) and the id of each."""

    ids: list[str]
    vectors: Floats


def read_labelled(config: FitConfig, shards: list[Shard], sample: Sample) -> Labelled | None:
    """Read queries, judgments and the relevant documents that are not in the sample; None when the config names no
    judgments.

    Raises InputError when queries or qrels do not fit the source.
    """
    if config.queries is None or config.qrels is None:
        return None
    input_dim = sample.vectors.shape[1]
    queries, qrels = read_queries(config.queries, input_dim), read_qrels(config.qrels)
    wanted = relevant_documents(queries.ids, qrels)
    documents = {name: sample.vectors[row] for row, name in enumerate(sample.ids) if name in wanted}
    read = read_documents(config.source, shards, wanted - documents.keys(), input_dim)
    return Labelled(config.queries.uri, queries, qrels, documents | read)


def relevant_documents(queries: list[str], qrels: Mapping[str, Mapping[str, int]]) -> frozenset[str]:
    """Ids of the documents that are relevant to some of the queries."""
    return frozenset(d for q in queries for d, grade in qrels.get(q, {}).items() if grade > 0)


def supervise(
    config: FitConfig,
    labelled: Labelled,
    data: TrainingSet,
    rows: NamedRows,
    search: Search,
    turn: Callable[[Floats], Floats],
) -> tuple[TrainingSet, frozenset[str]]:
    """Add queries, graded labels and mined negatives; `turn` puts vectors in started coordinates.

    Relevant documents that are not among the training `rows` join the corpus; their ids come back too. Raises
    InputError when fewer than two queries have a relevant document.
    """
    queries, qrels = labelled.queries, labelled.qrels
    place = {name: row for row, name in enumerate(rows.ids)}
    wanted = relevant_documents(queries.ids, qrels)
    extra = sorted(name for name in wanted & labelled.documents.keys() if name not in place)
    place |= {name: len(rows.ids) + i for i, name in enumerate(extra)}
    found, labels = _labels(queries.ids, qrels, place)
    if len(found) < 2:
        raise InputError(
            f"qrels: {len(found)} queries of {labelled.name} have a relevant document in the "
            "source (at least 2 are needed); check the id columns, the split and the source"
        )
    added = np.stack([labelled.documents[name] for name in extra]) if extra else rows.vectors[:0]
    training, held = hold_out_queries(labels, _HELD_OUT_QUERIES, config.training.seed)
    vectors = queries.vectors[found]
    supervision = Supervision(
        turn(vectors[training]),
        labels.of(training),
        mined_negatives(vectors[training], labels.of(training), [rows.vectors, added], search),
        turn(vectors[held]),
        labels.of(held),
    )
    joined = replace(data, corpus=np.concatenate([data.corpus, turn(added)]), supervision=supervision)
    return joined, frozenset(extra)


def _labels(ids: list[str], qrels: Mapping[str, Mapping[str, int]], place: dict[str, int]) -> tuple[Ids, Labels]:
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


def mined_negatives(queries: Floats, labels: Labels, corpus: list[Floats], search: Search) -> Ids:
    """The nearest documents of each query that are not relevant to it, (q, 30), -1 where there are fewer."""
    most = int(np.bincount(labels.queries).max())
    near = search(queries, corpus, _NEGATIVES + most).ids
    relevant = set(zip(labels.queries.tolist(), labels.documents.tolist(), strict=True))
    kept = [[d for d in row if d >= 0 and (q, d) not in relevant][:_NEGATIVES] for q, row in enumerate(near.tolist())]
    return np.array([row + [-1] * (_NEGATIVES - len(row)) for row in kept], np.int64)
