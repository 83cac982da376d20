"""The supervised stage's data: labelled queries, the documents they name, and mined negatives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from adaptor.errors import InputError
from adaptor.pca import InitialBasis
from adaptor.rows import Floats, Ids
from adaptor.training_set import Labels, Supervision, TrainingSet, hold_out_queries
from jobs.config.fit import FitConfig
from jobs.fit.neighbour_search import NeighbourSearch
from jobs.fit.sample import Sample
from jobs.sources.queries import Queries, read_qrels, read_queries
from jobs.sources.source import Shard
from jobs.sources.whole_source import read_documents

#: Nearest unjudged documents kept per training query, to draw negatives from; share of the queries that is held out.
_NEGATIVES, _HELD_OUT_QUERIES = 30, 0.1


@dataclass(frozen=True)
class NamedRows:
    """Rows (n, d) and the id of each."""

    ids: list[str]
    vectors: Floats


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """Queries with their judgments, the vector float32 (d,) of every relevant document that the source has, by id, and
    the name of all this in messages."""

    name: str
    queries: Queries
    qrels: Mapping[str, Mapping[str, int]]
    documents: Mapping[str, Floats]


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
    documents |= read_documents(config.source, shards, wanted - documents.keys(), input_dim)
    return Labelled(name=config.queries.uri, queries=queries, qrels=qrels, documents=documents)


def relevant_documents(queries: list[str], qrels: Mapping[str, Mapping[str, int]]) -> frozenset[str]:
    """Ids of the documents that are relevant to some of the queries."""
    return frozenset(d for q in queries for d, grade in qrels.get(q, {}).items() if grade > 0)


def supervise(
    data: TrainingSet, labelled: Labelled, rows: NamedRows, seed: int, search: NeighbourSearch, basis: InitialBasis
) -> TrainingSet:
    """Add queries, graded labels and mined negatives. Relevant documents that are not among the training `rows` join
    the corpus.

    Raises InputError when fewer than two queries have a relevant document.
    """
    row_of = {name: row for row, name in enumerate(rows.ids)}
    wanted = relevant_documents(labelled.queries.ids, labelled.qrels)
    extra = sorted(name for name in wanted & labelled.documents.keys() if name not in row_of)
    row_of |= {name: len(rows.ids) + number for number, name in enumerate(extra)}
    numbers, labels = _labels(labelled, row_of)
    if len(numbers) < 2:
        raise InputError(
            f"qrels: {len(numbers)} queries of {labelled.name} have a relevant document in the "
            "source (at least 2 are needed); check the id columns, the split and the source"
        )
    added = np.stack([labelled.documents[name] for name in extra]) if extra else rows.vectors[:0]
    documents = np.concatenate([rows.vectors, added])
    training, held = hold_out_queries(labels, _HELD_OUT_QUERIES, seed)
    queries = labelled.queries.vectors[numbers]
    supervision = Supervision(
        queries=basis.transform(queries[training]),
        labels=labels.of(training),
        negatives=mined_negatives(queries[training], labels.of(training), documents, search),
        held_out=basis.transform(queries[held]),
        held_out_labels=labels.of(held),
    )
    return replace(data, corpus=np.concatenate([data.corpus, basis.transform(added)]), supervision=supervision)


def _labels(labelled: Labelled, row_of: Mapping[str, int]) -> tuple[Ids, Labels]:
    """Numbers of the queries that have a relevant document in the corpus, and their labels."""
    numbers: list[int] = []
    triples: list[tuple[int, int, int]] = []
    for number, name in enumerate(labelled.queries.ids):
        judged = labelled.qrels.get(name, {}).items()
        own = sorted((row_of[document], grade) for document, grade in judged if grade > 0 and document in row_of)
        if own:
            triples += [(len(numbers), row, grade) for row, grade in own]
            numbers.append(number)
    table = np.array(triples, np.int64).reshape(-1, 3)
    return np.array(numbers, np.int64), Labels(table[:, 0], table[:, 1], table[:, 2].astype(np.float32))


def mined_negatives(queries: Floats, labels: Labels, corpus: Floats, search: NeighbourSearch) -> Ids:
    """The nearest documents of each query that are not relevant to it, (q, 30), -1 where there are fewer."""
    most = int(np.bincount(labels.queries).max())
    near = search.search(queries, corpus, _NEGATIVES + most).ids
    relevant = set(zip(labels.queries.tolist(), labels.documents.tolist(), strict=True))
    others = [[d for d in row if d >= 0 and (q, d) not in relevant][:_NEGATIVES] for q, row in enumerate(near.tolist())]
    return np.array([row + [-1] * (_NEGATIVES - len(row)) for row in others], np.int64)
