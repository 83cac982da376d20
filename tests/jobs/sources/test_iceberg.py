"""Iceberg tables: which rows are live, and in which columns."""

from __future__ import annotations

from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("pyiceberg", reason="the extra `iceberg` is not installed")

from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import LongType

from adaptor.errors import InputError
from jobs.config.sections import SourceSection
from jobs.sources.source import Source, open_source
from tests.jobs.sources.iceberg_tables import (
    FolderCatalog,
    add_deletes,
    deletion_vector,
    equality_deletes,
    position_deletes,
)
from tests.jobs.sources.parquet_files import vectors
from tests.jobs.sources.whole import read
from tests.s3_server import S3Server

SCHEMA = pa.schema([("id", pa.string()), ("vector", pa.list_(pa.float32())), ("year", pa.int32())])


def rows(first: int, stop: int) -> pa.Table:
    """Rows with ids r<first> …"""
    content = vectors(stop - first, seed=first)
    ids = [f"r{row}" for row in range(first, stop)]
    return pa.table([ids, list(content), list(range(first, stop))], schema=SCHEMA)


def catalog_of(folder: Path, **options: Any) -> FolderCatalog:
    """A new table."""
    catalog = FolderCatalog("test")
    catalog.create(folder, SCHEMA, sort_order=UNSORTED_SORT_ORDER, **options)
    return catalog


def opened(folder: Path | str, **section: Any) -> Source:
    return open_source(SourceSection(uri=str(folder), format="iceberg", **section))


def data_files(catalog: FolderCatalog) -> list[str]:
    return [task.file.file_path for task in catalog.table.scan().plan_files()]


def test_only_the_files_of_the_snapshot_are_read(tmp_path: Path) -> None:
    catalog = catalog_of(tmp_path / "t")
    catalog.table.append(rows(0, 10))
    first = catalog.table.metadata.current_snapshot_id
    catalog.table.overwrite(rows(10, 15))
    found = read(opened(tmp_path / "t"))
    assert found["id"] == [f"r{row}" for row in range(10, 15)]
    np.testing.assert_array_equal(np.array(found["vector"], np.float32), vectors(5, seed=10))
    assert read(opened(tmp_path / "t", snapshot=str(first)))["id"] == [f"r{row}" for row in range(10)]
    with pytest.raises(InputError, match=rf"has no snapshot 7 .*last ones are {first}, \d+, \d+: set"):
        opened(tmp_path / "t", snapshot="7").shards()


def test_a_worker_reads_the_snapshot_that_the_driver_listed(tmp_path: Path) -> None:
    catalog = catalog_of(tmp_path / "t")
    catalog.table.append(rows(0, 10))
    driver = opened(tmp_path / "t")
    (shard,) = driver.shards()
    catalog.table.overwrite(rows(10, 15))
    worker = opened(tmp_path / "t", snapshot=driver.snapshot())
    assert worker.describe(shard).rows == 10
    with pytest.raises(InputError, match="no longer what it was when the table was listed"):
        opened(tmp_path / "t").describe(shard)


@pytest.mark.parametrize("kind", [position_deletes, deletion_vector])
def test_deleted_rows_are_left_out(tmp_path: Path, kind: Any) -> None:
    catalog = catalog_of(tmp_path / "t")
    catalog.table.append(rows(0, 10))
    (file,) = data_files(catalog)
    before = opened(tmp_path / "t").shards()
    add_deletes(catalog, [kind(tmp_path / "t", file, [0, 4, 5])])
    assert len(catalog.table.scan().to_arrow()) == 7  # its own reader agrees
    source = opened(tmp_path / "t")
    assert read(source)["id"] == ["r1", "r2", "r3", "r6", "r7", "r8", "r9"]
    assert [shard.key for shard in source.shards()] == [shard.key for shard in before]
    assert source.shards()[0].version != before[0].version
    assert "1 of them without the rows that were deleted since" in source.notes()[0]


def test_equality_deletes_are_refused_by_name(tmp_path: Path) -> None:
    catalog = catalog_of(tmp_path / "t")
    catalog.table.append(rows(0, 10))
    add_deletes(catalog, [equality_deletes(tmp_path / "t")])
    with pytest.raises(InputError, match="has equality deletes, which are not applied: compact it first"):
        opened(tmp_path / "t").shards()


def test_files_of_older_schemas_come_out_in_the_present_one(tmp_path: Path) -> None:
    catalog = catalog_of(tmp_path / "t")
    catalog.table.append(rows(0, 3))
    with catalog.table.update_schema() as update:
        update.rename_column("vector", "embedding").add_column("title", LongType()).update_column("year", LongType())
    later = rows(3, 5).rename_columns(["id", "embedding", "year"]).append_column("title", pa.array([7, 8]))
    catalog.table.append(later.set_column(2, "year", later["year"].cast(pa.int64())))
    source = opened(tmp_path / "t")
    assert {str(source.describe(shard).schema.field("year").type) for shard in source.shards()} == {"int64"}
    found = read(source)
    order = np.argsort(found["id"])
    assert [found["title"][row] for row in order] == [None, None, None, 7, 8]
    assert [found["year"][row] for row in order] == [0, 1, 2, 3, 4]
    assert [len(found["embedding"][row]) for row in order] == [4] * 5


def test_added_files_lie_elsewhere_and_have_no_field_ids(tmp_path: Path) -> None:
    catalog = catalog_of(tmp_path / "t")
    with catalog.table.update_spec() as update:
        update.add_field("year", IdentityTransform(), "year")
    outside = tmp_path / "other" / "a.parquet"
    outside.parent.mkdir()
    one_year = rows(0, 3).set_column(2, "year", pa.array([5, 5, 5], pa.int32()))
    pq.write_table(one_year, outside)
    catalog.table.add_files([f"file://{outside}"])
    source = opened(tmp_path / "t")
    (shard,) = source.shards()
    assert shard.key == str(outside).lstrip("/")
    assert read(source)["id"] == ["r0", "r1", "r2"]
    assert read(source)["year"] == [5, 5, 5]


def test_the_metadata_file_itself_may_be_named(tmp_path: Path) -> None:
    catalog = catalog_of(tmp_path / "t")
    catalog.table.append(rows(0, 3))
    old = catalog.table.metadata_location.removeprefix("file://")
    catalog.table.append(rows(3, 5))
    assert len(read(opened(Path(old)))["id"]) == 3
    newest = Path(catalog.table.metadata_location.removeprefix("file://"))
    (newest.parent / f"{newest.name.partition('-')[0]}-other.metadata.json").write_bytes(newest.read_bytes())
    with pytest.raises(InputError, match=r"2 metadata files have number 2 .* set source.uri to that file"):
        opened(tmp_path / "t").shards()
    (newest.parent / "version-hint.text").write_text("1")
    assert len(read(opened(tmp_path / "t"))["id"]) == 3


def test_no_table(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is no Iceberg table .*check source\.uri"):
        opened(tmp_path).shards()
    catalog_of(tmp_path / "t")
    with pytest.raises(InputError, match=r"snapshot none of the Iceberg table \(.*\)\) holds no files"):
        opened(tmp_path / "t").shards()


def test_on_s3(bucket: str, s3: S3Server) -> None:
    properties = {"s3.endpoint": s3.endpoint, "s3.region": "us-east-1"}
    catalog = FolderCatalog("test", **properties)
    catalog.create(f"{bucket}/t", SCHEMA, sort_order=UNSORTED_SORT_ORDER)
    catalog.table.append(rows(0, 3))
    catalog.table.overwrite(rows(3, 5))
    source = opened(f"{bucket}/t/", filesystem=s3.options)
    assert read(source)["id"] == ["r3", "r4"]
    metadata = catalog.table.metadata_location
    assert read(opened(metadata, filesystem=s3.options))["id"] == ["r3", "r4"]


def test_a_damaged_table_is_named(tmp_path: Path) -> None:
    catalog = catalog_of(tmp_path / "t")
    catalog.table.append(rows(0, 10))
    (file,) = data_files(catalog)
    delete = position_deletes(tmp_path / "t", file, [1])
    add_deletes(catalog, [delete])
    place = Path(delete.file_path.removeprefix("file://"))
    source = opened(tmp_path / "t")
    (shard,) = source.shards()
    place.write_bytes(b"no Parquet")
    with pytest.raises(InputError, match=r"the list of deleted rows of data/.* is damaged"):
        source.describe(shard)
    place.unlink()
    with pytest.raises(InputError, match=r"is not whole, a file of it does not exist \(any more\)"):
        opened(tmp_path / "t").describe(shard)
    manifest = next((tmp_path / "t" / "metadata").glob("*-m0.avro"))
    manifest.write_bytes(manifest.read_bytes()[:50])
    with pytest.raises(InputError, match=r"the table's log is damaged"):
        opened(tmp_path / "t").shards()
    metadata = Path(catalog.table.metadata_location.removeprefix("file://"))
    metadata.write_text("{}")
    with pytest.raises(InputError, match=r"is no metadata of an Iceberg table"):
        opened(metadata).shards()


def test_a_catalog_says_which_state_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = catalog_of(tmp_path / "t")
    catalog.table.append(rows(0, 3))
    committed = copy(catalog.table)
    catalog.table.append(rows(3, 5))
    catalog.table = committed  # the last commit was lost: its files are there, but do not count
    monkeypatch.setattr("pyiceberg.catalog.load_catalog", {"lake": catalog}.__getitem__)
    assert len(read(opened(tmp_path / "t"))["id"]) == 5
    assert read(opened(tmp_path / "t", catalog_table="lake.a.t"))["id"] == ["r0", "r1", "r2"]
    with pytest.raises(InputError, match=r"in the catalog its files lie below file://.*/t, set source\.uri to that"):
        opened(tmp_path, catalog_table="lake.a.t").shards()
    for name in ("lake", "lake."):
        with pytest.raises(InputError, match=r"source\.catalog_table is 'lake.?': write CATALOG\.NAMESPACE\.TABLE"):
            opened(tmp_path / "t", catalog_table=name).shards()
    monkeypatch.setattr(catalog, "load_table", _no_table)
    with pytest.raises(InputError, match=r"pyiceberg finds no table lake\.a\.t: NoSuchTableError: a\.t"):
        opened(tmp_path / "t", catalog_table="lake.a.t").shards()


def _no_table(identifier: str) -> None:
    raise NoSuchTableError(identifier)


def test_partitions_whose_values_are_escaped_in_names(tmp_path: Path) -> None:
    catalog = catalog_of(tmp_path / "a b%20c")
    with catalog.table.update_spec() as update:
        update.add_field("id", IdentityTransform(), "id")
    catalog.table.append(rows(0, 2).set_column(0, "id", pa.array(["x/y z", "100%"])))
    assert sorted(read(opened(tmp_path / "a b%20c"))["id"]) == ["100%", "x/y z"]
