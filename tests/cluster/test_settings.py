"""`cluster.workers`: a number, or a range in one of three spellings."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from cluster.settings import ClusterSection, WorkerRange


@pytest.mark.parametrize(
    ("given", "fewest", "most"),
    [
        (3, 3, 3),
        ("3", 3, 3),
        ("2..5", 2, 5),
        (" 2 .. 2 ", 2, 2),
        ({"min": 1, "max": "4"}, 1, 4),
        (WorkerRange(1, 2), 1, 2),
    ],
)
def test_workers_are_a_number_or_a_range(given: Any, fewest: int, most: int) -> None:
    section = ClusterSection.model_validate({"workers": given})
    assert (section.min_workers, section.max_workers) == (fewest, most)
    assert ClusterSection.model_validate_json(section.model_dump_json()) == section
    assert ClusterSection.model_validate(section.model_dump()) == section


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("two", "valid integer"),
        (0, "greater than or equal to 1"),
        ("0..3", "greater than or equal to 1"),
        (1 << 60, "less than or equal"),
        (None, "valid integer"),
        ("3..1", "min that is at most its max, got 3 and 1"),
        ({"min": 1}, "have min and max and nothing else"),
        ({"min": 1, "max": 2, "most": 3}, "have min and max and nothing else"),
    ],
)
def test_what_is_neither_is_refused(given: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        ClusterSection.model_validate({"workers": given})
