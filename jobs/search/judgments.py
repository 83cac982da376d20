"""Judgments against what is really there: which queries can be scored, and which ids nobody knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from adaptor.errors import InputError
from adaptor.neighbours import Ids, Neighbours
from jobs.search.methods import Column
from jobs.search.scoring import Scores, retrieval_scores

#: Ids that a message shows before it only counts.
_EXAMPLES = 5


@dataclass(frozen=True)
class Judged:
    """Judgments by position and row (`scores`, as scoring takes them), and what to tell the user (`notes`).

    `canonical` maps the later rows of an id that occurs twice to its first row.
    """

    scores: dict[int, dict[int, int]]
    canonical: dict[int, int]
    notes: list[str]

    def ranked(self, found: Ids) -> Ids:
        """The ranked rows, int64 (q, k), with every row of a doubled id named as its first row."""
        if not self.canonical:
            return found
        renamed = found.copy()
        for later, first in self.canonical.items():
            renamed[found == later] = first
        return renamed


def scored(judged: Judged, neighbours: Mapping[Column, Neighbours]) -> dict[Column, dict[str, Scores]]:
    """The retrieval measures of every column, float64 (j,) over the judged queries."""
    return {column: retrieval_scores(judged.ranked(near.ids), judged.scores) for column, near in neighbours.items()}


def judged_documents(qrels: Mapping[str, Mapping[str, int]], query_ids: Sequence[str]) -> tuple[str, ...]:
    """Document ids in the judgments of the given queries, sorted. Raises InputError when no query is judged."""
    known = set(query_ids)
    documents = sorted({document for query, grades in qrels.items() if query in known for document in grades})
    if not documents:
        raise InputError(
            f"qrels and queries have no query id in common: qrels name {_examples(sorted(qrels))}, "
            f"queries are {_examples(query_ids)}; check qrels.uri, qrels.query_column and both splits"
        )
    return tuple(documents)


def match(
    qrels: Mapping[str, Mapping[str, int]], query_ids: Sequence[str], rows_of: Mapping[str, Sequence[int]]
) -> Judged:
    """Put judgments on positions and rows; `rows_of` holds the rows of every judged id that the source has.

    Unknown ids are counted with the first examples; raises InputError when no judged document is in the source.
    """
    documents = judged_documents(qrels, query_ids)
    if not rows_of:
        raise InputError(
            f"qrels and source have no document id in common: qrels name {_examples(documents)}; "
            "check qrels.document_column, source.id_column and that both are of the same data set"
        )
    absent = [document for document in documents if document not in rows_of]
    rows = {document: min(found) for document, found in rows_of.items()}
    rows |= {document: -1 - place for place, document in enumerate(absent)}
    scores = {
        position: {rows[document]: grade for document, grade in qrels[query].items()}
        for position, query in enumerate(query_ids)
        if query in qrels
    }
    canonical = {later: rows[name] for name, found in rows_of.items() for later in sorted(found)[1:]}
    return Judged(scores, canonical, _notes(qrels, query_ids, absent, rows_of))


def _notes(
    qrels: Mapping[str, Mapping[str, int]],
    query_ids: Sequence[str],
    absent: Sequence[str],
    rows_of: Mapping[str, Sequence[int]],
) -> list[str]:
    known = set(query_ids)
    strangers = sorted(query for query in qrels if query not in known)
    unjudged = [query for query in query_ids if query not in qrels]
    doubled = sorted(name for name, found in rows_of.items() if len(found) > 1)
    return [
        f"{what}: {len(names):,} ({_examples(names)})"
        for names, what in (
            (absent, "document ids of the qrels that are not in the source, relevant ones count as missed"),
            (strangers, "query ids of the qrels that are not among the queries, their judgments are not used"),
            (unjudged, "queries without a judgment, left out of the retrieval measures"),
            (doubled, "judged ids that occur more than once in the source, the better rank counts"),
        )
        if names
    ]


def _examples(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_EXAMPLES])
    return f"{shown}, …" if len(names) > _EXAMPLES else shown or "none"
