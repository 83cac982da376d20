"""Counts with their nouns."""

from __future__ import annotations

import pytest

from jobs.runtime.plural import plural


@pytest.mark.parametrize(
    ("count", "nouns", "text"),
    [
        (0, "rows", "0 rows"),
        (1, "work items", "1 work item"),
        (1, "runs of shards", "1 run of shards"),
        (1, "processes", "1 process"),
        (2000, "machines", "2,000 machines"),
    ],
)
def test_a_noun_goes_with_its_count(count: int, nouns: str, text: str) -> None:
    assert plural(count, nouns) == text
