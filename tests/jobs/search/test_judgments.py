"""What is said about ids that one side does not know, and how judgments land on rows."""

import numpy as np
import pytest

from adaptor.errors import InputError
from jobs.search.judgments import judged_documents, match_judgments

QRELS = {"q1": {"a": 1, "b": 2}, "q2": {"c": 1}, "q9": {"z": 1}}


def test_judgments_land_on_positions_and_rows() -> None:
    judged = match_judgments(QRELS, ["q0", "q1", "q2"], {"a": [7], "b": [3], "c": [5]})
    assert judged.grades == {1: {7: 1, 3: 2}, 2: {5: 1}}
    assert judged.notes == [
        "query ids of the qrels that are not among the queries, their judgments are not used: 1 ('q9')",
        "queries without a judgment, left out of the retrieval measures: 1 ('q0')",
    ]


def test_unknown_documents_count_as_missed_and_are_shown() -> None:
    judged = match_judgments(QRELS, ["q1", "q2"], {"a": [7]})
    assert judged.grades == {0: {7: 1, -1: 2}, 1: {-2: 1}}
    expected = "document ids of the qrels that are not in the source, relevant ones count as missed: 2 ('b', 'c')"
    assert expected in judged.notes


def test_examples_stop_after_five() -> None:
    qrels = {"q": {f"d{i}": 1 for i in range(9)}}
    (note,) = match_judgments(qrels, ["q"], {"d0": [0]}).notes
    assert note.endswith("missed: 8 ('d1', 'd2', 'd3', 'd4', 'd5', …)")


def test_a_doubled_id_keeps_its_better_rank() -> None:
    judged = match_judgments({"q": {"a": 1}}, ["q"], {"a": [9, 4]})
    assert judged.grades == {0: {4: 1}}
    assert judged.ranked(np.array([[9, 2, 4]])).tolist() == [[4, 2, 4]]
    assert "occur more than once in the source" in judged.notes[0]


def test_no_query_in_common() -> None:
    with pytest.raises(InputError, match=r"no query id in common: qrels name 'q1', 'q2', 'q9', queries are 'x'"):
        judged_documents(QRELS, ["x"])


def test_no_document_in_common() -> None:
    with pytest.raises(InputError, match=r"no document id in common: qrels name 'a', 'b'; check qrels.document_column"):
        match_judgments(QRELS, ["q1"], {})
