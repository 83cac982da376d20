"""Lance datasets: fragments of one version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

pytest.importorskip("lance", reason="the extra `lance` is not installed")

import lance
import lance.arrow

from adaptor.errors import InputError
from jobs.config.sections import SourceSection
from jobs.sources import row_groups
from jobs.sources.source import Source, open_source
from tests.jobs.sources.parquet_files import table, vectors
from tests.jobs.sources.whole import read
from tests.s3_server import S3Server


def opened(folder: Path | str, **section: Any) -> Source:
    return open_source(SourceSection(uri=str(folder), format="lance", **section))


def test_fragments_are_shards_without_their_deleted_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_groups, "GROUP_ROWS", 16)
    dataset = lance.write_dataset(table(100), tmp_path / "t", max_rows_per_file=40)
    first = opened(tmp_path / "t")
    assert read(first, 7) == table(100).to_pydict()
    dataset.delete("id in ('row-3', 'row-41', 'row-42')")
    source = opened(tmp_path / "t")
    found = read(source, 7)
    kept = [row for row in range(100) if row not in (3, 41, 42)]
    assert found["id"] == [f"row-{row}" for row in kept]
    np.testing.assert_array_equal(np.array(found["vector"], np.float32), vectors(100)[kept])
    assert "3 fragments, 2 of them without the rows that were deleted since" in source.notes()[0]
    same = {shard.key for shard in source.shards() if shard in first.shards()}
    assert same == {"fragment-00000002"}  # the next run has only the others to do
    assert [source.describe(shard).row_group_rows for shard in source.shards()] == [(16, 16, 7), (16, 16, 6), (16, 4)]


def test_versions(tmp_path: Path) -> None:
    lance.write_dataset(table(5), tmp_path / "t")
    driver = opened(tmp_path / "t")
    (shard,) = driver.shards()
    lance.write_dataset(table(3), tmp_path / "t", mode="overwrite")
    assert opened(tmp_path / "t", snapshot=driver.snapshot()).describe(shard).rows == 5
    with pytest.raises(InputError, match=r"is no longer what it was when the dataset was listed"):
        opened(tmp_path / "t").describe(shard)
    with pytest.raises(InputError, match=r"version 9 of the Lance dataset cannot be read"):
        opened(tmp_path / "t", snapshot="9").shards()
    with pytest.raises(InputError, match=r"source.snapshot is 'x': a version of a Lance dataset is a number"):
        opened(tmp_path / "t", snapshot="x").shards()
    with pytest.raises(InputError, match=r"is no Lance dataset: check source\.uri"):
        opened(tmp_path).shards()


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    lance.write_dataset(pa.table({"id": [str(row) for row in range(5000)]}), tmp_path / "t")
    (file,) = (tmp_path / "t" / "data").glob("*.lance")
    source = opened(tmp_path / "t")
    (shard,) = source.shards()
    file.write_bytes(file.read_bytes()[:-400])
    with pytest.raises(InputError, match=r"fragment-00000000, after row 0: the data is damaged"):
        list(source.read(shard, [0], 100))


def test_on_s3(bucket: str, s3: S3Server) -> None:
    options = {"aws_endpoint": s3.endpoint, "aws_allow_http": "true", "aws_region": "us-east-1"}
    lance.write_dataset(table(5), f"{bucket}/t", storage_options=options)
    assert read(opened(f"{bucket}/t/", filesystem=s3.options)) == table(5).to_pydict()


def test_bfloat16_vectors(tmp_path: Path) -> None:
    values = lance.arrow.bfloat16_array([1.0, 2.0, -0.5, 3.0, 0.25, 8.0])
    content = pa.table({"id": ["a", "b", "c"], "vector": pa.FixedSizeListArray.from_arrays(values, 2)})
    lance.write_dataset(content, tmp_path / "t")
    source = opened(tmp_path / "t")
    assert read(source)["vector"] == [[1.0, 2.0], [-0.5, 3.0], [0.25, 8.0]]
    assert source.describe(source.shards()[0]).schema.field("vector").type == pa.list_(pa.float32(), 2)
