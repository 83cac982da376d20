"""What verify says of a source that changes, and of manifests that do not hold."""

from __future__ import annotations

import pytest

from jobs.commits.manifest import MANIFEST
from tests.jobs.compress.workplace import Workplace, table
from tests.jobs.verify.test_verify import failed

pytestmark = pytest.mark.usefixtures("ray_cluster")


def test_a_store_that_moved_on_shows(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    workplace.compress()
    workplace.put("new.parquet", table(4, seed=8))
    assert failed(workplace) == {"coverage"}
    assert "new.parquet: has no record: run compress again" in capsys.readouterr().out
    workplace.put("a.parquet", table(26, seed=1))
    assert failed(workplace) == {"coverage"}
    assert "a.parquet: changed after it was compressed" in capsys.readouterr().out
    workplace.compress()
    assert failed(workplace) == set()
    (workplace.source / "a.parquet").unlink()
    assert failed(workplace, output={"removed": "keep"}) == set()
    assert "outputs kept of 1 shard no longer in the source" in capsys.readouterr().out
    assert failed(workplace) == {"coverage"}
    workplace.compress()
    assert failed(workplace) == set()
    there = workplace.output_version()
    for lost in (next(there.list("_superseded/")).key, next(there.list("_feeds/")).key):
        content = there.read(lost)
        there.put(lost, content[:-1])
        assert failed(workplace) == {"manifest"}
        there.delete(lost)
        assert failed(workplace) == {"manifest"}
        there.put(lost, content)
    there.delete(MANIFEST)
    assert failed(workplace) == {"manifest"}
