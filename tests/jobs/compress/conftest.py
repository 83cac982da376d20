"""A workplace with three shards."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.jobs.compress.workplace import Workplace, table


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    """A source of three shards (one in a subfolder) with 25, 31 and 3 rows, and an adaptor."""
    place = Workplace(tmp_path)
    place.put("a.parquet", table(25, seed=1))
    place.put("sub/b.parquet", table(31, seed=2))
    place.put("sub/c.parquet", table(3, seed=3))
    return place
