"""Judgments against what the source holds: which queries can be scored, and which ids one side does not have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from adaptor.errors import InputError
from adaptor.rows import Ids
from jobs.search.scoring import ColumnScores, retrieval_scores
from jobs.search.source_search import ColumnNeighbours

#: Query id → document id → grade.
Qrels = Mapping[str, Mapping[str, int]]

#: Ids that a message shows before it only counts.
_EXAMPLES = 5


@dataclass(frozen=True)
class MatchedJudgments:
    """Judgments on the source: position of the query → row → `grades`, as scoring takes them; `first_rows` maps the
    later rows of an id that occurs twice to its first row; `notes` are for the user."""

    grades: dict[int, dict[int, int]]
    first_rows: dict[int, int]
    notes: list[str]

    def score(self, neighbours: ColumnNeighbours) -> ColumnScores:
        """The retrieval measures of every column, float64 (j,) over the judged queries."""
        return {column: retrieval_scores(self.ranked(near.ids), self.grades) for column, near in neighbours.items()}

    def ranked(self, rows: Ids) -> Ids:
        """The ranked rows, int64 (q, k), with every row of a doubled id named as its first row."""
        renamed = rows.copy()
        for later, first in self.first_rows.items():
            renamed[rows == later] = first
        return renamed


def judged_documents(qrels: Qrels, query_ids: Sequence[str]) -> tuple[str, ...]:
    """Document ids in the judgments of the given queries, sorted. Raises InputError when no query is judged."""
    documents = {document for query in query_ids for document in qrels.get(query, ())}
    if not documents:
        raise InputError(
            f"qrels and queries have no query id in common: qrels name {_examples(sorted(qrels))}, "
            f"queries are {_examples(query_ids)}; check qrels.uri, qrels.query_column and both splits"
        )
    return tuple(sorted(documents))


def match_judgments(
    qrels: Qrels, query_ids: Sequence[str], rows_by_id: Mapping[str, Sequence[int]]
) -> MatchedJudgments:
    """Put judgments on positions and rows; `rows_by_id` holds the rows of every judged id that the source has. Absent
    documents get negative rows. Raises InputError when no judged document is in the source."""
    documents = judged_documents(qrels, query_ids)
    if not rows_by_id:
        raise InputError(
            f"qrels and source have no document id in common: qrels name {_examples(documents)}; "
            "check qrels.document_column, source.id_column and that both are of the same data set"
        )
    absent = [document for document in documents if document not in rows_by_id]
    first_row = {document: min(rows) for document, rows in rows_by_id.items()}
    first_row |= {document: -1 - number for number, document in enumerate(absent)}
    grades = {
        position: {first_row[document]: grade for document, grade in qrels[query].items()}
        for position, query in enumerate(query_ids)
        if query in qrels
    }
    doubled = {name: sorted(rows) for name, rows in sorted(rows_by_id.items()) if len(rows) > 1}
    first_rows = {later: rows[0] for rows in doubled.values() for later in rows[1:]}
    ids_by_note = {
        "document ids of the qrels that are not in the source, relevant ones count as missed": absent,
        "query ids of the qrels that are not among the queries, their judgments are not used": sorted(
            qrels.keys() - set(query_ids)
        ),
        "queries without a judgment, left out of the retrieval measures": [
            query for query in query_ids if query not in qrels
        ],
        "judged ids that occur more than once in the source, the better rank counts": list(doubled),
    }
    notes = [f"{note}: {len(ids):,} ({_examples(ids)})" for note, ids in ids_by_note.items() if ids]
    return MatchedJudgments(grades, first_rows, notes)


def _examples(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_EXAMPLES])
    return f"{shown}, …" if len(names) > _EXAMPLES else shown or "none"
