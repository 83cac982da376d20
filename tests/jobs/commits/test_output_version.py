"""Where outputs may lie."""

from __future__ import annotations

import pytest

from jobs.commits.output_version import check_apart
from jobs.config.compress import CompressOutputSection
from jobs.config.sections import SourceSection


@pytest.mark.parametrize(
    ("source", "output"),
    [
        ("ftp://one/data", "ftp://other/data/out"),
        ("abfs://c@one.dfs.core.windows.net/x", "abfs://c@other.dfs.core.windows.net/x"),
        ("s3://one/data", "s3://other/data"),
        ("memory://a/v", "memory://a/v2"),
        ("/a/v", "/a/v2"),
        ("/a/v", "/a/v/_out"),
    ],
)
def test_places_that_are_apart(source: str, output: str) -> None:
    check_apart(SourceSection(uri=source), CompressOutputSection(uri=output, dim=8))
