"""Iceberg tables for the tests, written by pyiceberg itself; delete files, which it cannot write, by its manifests."""

from __future__ import annotations

import json
import struct
import time
import zlib
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.catalog import MetastoreCatalog
from pyiceberg.catalog.noop import NoopCatalog
from pyiceberg.io.pyarrow import schema_to_pyarrow  # noqa: F401 - loads the FileIO before a warning would
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestWriterV2,
    write_manifest_list,
)
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC
from pyiceberg.table import CommitTableResponse, Table
from pyiceberg.table.metadata import new_table_metadata
from pyiceberg.table.snapshots import Operation, Snapshot, Summary
from pyiceberg.table.update import AddSnapshotUpdate, SetSnapshotRefUpdate
from pyiceberg.typedef import Record


class FolderCatalog(MetastoreCatalog, NoopCatalog):
    """Knows one table, for as long as it lives."""

    table: Table

    def create(self, location: Path | str, schema: pa.Schema, version: Literal[1, 2, 3] = 2, **options: Any) -> Table:
        """A new table without rows in a folder."""
        where = f"file://{location}" if isinstance(location, Path) else location
        metadata = new_table_metadata(
            location=where,
            schema=self._convert_schema_if_needed(schema, version),
            partition_spec=options.pop("partition_spec", UNPARTITIONED_PARTITION_SPEC),
            sort_order=options.pop("sort_order"),
            properties={"format-version": str(version), **options},
        )
        place = f"{where}/metadata/00000-{uuid4()}.metadata.json"
        io = self._load_file_io(self.properties, place)
        self._write_metadata(metadata, io, place)
        self.table = Table(("a", "t"), metadata, place, io, self)
        return self.table

    def load_table(self, identifier: Any) -> Table:
        """The table as it is now."""
        return self.table

    def commit_table(self, table: Table, requirements: Any, updates: Any) -> CommitTableResponse:
        """Write the next metadata file."""
        staged = self._update_and_stage_table(self.table, ("a", "t"), requirements, updates)
        self._write_metadata(staged.metadata, staged.io, staged.metadata_location)
        self.table = Table(("a", "t"), staged.metadata, staged.metadata_location, staged.io, self)
        answer = {"metadata": staged.metadata, "metadata-location": staged.metadata_location}
        return CommitTableResponse.model_validate(answer)


FolderCatalog.__abstractmethods__ = frozenset()


class _DeleteManifest(ManifestWriterV2):
    def content(self) -> ManifestContent:
        return ManifestContent.DELETES


def position_deletes(folder: Path, data_file: str, rows: list[int]) -> DataFile:
    """A Parquet file that deletes rows of a data file."""
    path = folder / "data" / f"deletes-{uuid4()}.parquet"
    schema = pa.schema(
        [
            pa.field("file_path", pa.string(), False, {"PARQUET:field_id": "2147483546"}),
            pa.field("pos", pa.int64(), False, {"PARQUET:field_id": "2147483545"}),
        ]
    )
    pq.write_table(pa.table([[data_file] * len(rows), rows], schema=schema), path)
    return _data_file(DataFileContent.POSITION_DELETES, path, FileFormat.PARQUET, len(rows))


def equality_deletes(folder: Path) -> DataFile:
    """A file that deletes rows by their values."""
    path = folder / "data" / f"equality-{uuid4()}.parquet"
    pq.write_table(pa.table({"id": ["r1"]}), path)
    return _data_file(DataFileContent.EQUALITY_DELETES, path, FileFormat.PARQUET, 1, equality_ids=[1])


def deletion_vector(folder: Path, data_file: str, rows: list[int]) -> DataFile:
    """A Puffin file with a deletion vector (Iceberg 3)."""
    from pyroaring import BitMap

    bitmap = BitMap(rows).serialize()
    vector = struct.pack("<I", 1681511377) + struct.pack("<Q", 1) + struct.pack("<I", 0) + bitmap
    blob = struct.pack(">I", len(vector)) + vector + struct.pack(">I", zlib.crc32(vector))
    properties = {"referenced-data-file": data_file, "cardinality": str(len(rows))}
    entry = {"type": "deletion-vector-v1", "fields": [], "snapshot-id": -1, "sequence-number": -1, "offset": 4}
    footer = json.dumps({"blobs": [{**entry, "length": len(blob), "properties": properties}]}).encode()
    path = folder / "data" / f"vector-{uuid4()}.puffin"
    tail = b"PFA1" + footer + struct.pack("<i", len(footer)) + b"\0\0\0\0" + b"PFA1"
    path.write_bytes(b"PFA1" + blob + tail)
    return _data_file(DataFileContent.POSITION_DELETES, path, FileFormat.PUFFIN, len(rows))


def add_deletes(catalog: FolderCatalog, deletes: list[DataFile]) -> None:
    """Commit a snapshot that adds delete files to the present one."""
    table = catalog.table
    parent = table.current_snapshot()
    assert parent is not None
    number, sequence = parent.snapshot_id + 1, (parent.sequence_number or 0) + 1
    folder = f"{table.location()}/metadata"
    output = table.io.new_output(f"{folder}/{uuid4()}-deletes.avro")
    with _DeleteManifest(table.spec(), table.schema(), output, number, "null") as writer:
        for delete in deletes:
            status = ManifestEntryStatus.ADDED
            writer.add_entry(ManifestEntry.from_args(status=status, snapshot_id=number, data_file=delete))
    listed = f"{folder}/snap-{number}.avro"
    with write_manifest_list(
        2, table.io.new_output(listed), number, parent.snapshot_id, sequence, avro_compression="null"
    ) as manifests:
        manifests.add_manifests([*parent.manifests(table.io), writer.to_manifest_file()])
    entries = {
        "snapshot-id": number,
        "parent-snapshot-id": parent.snapshot_id,
        "sequence-number": sequence,
        "timestamp-ms": int(time.time() * 1000) + 1,
        "manifest-list": listed,
        "summary": Summary(Operation.DELETE),
        "schema-id": table.schema().schema_id,
    }
    snapshot = Snapshot.model_validate(entries)
    reference = SetSnapshotRefUpdate.model_validate({"ref-name": "main", "type": "branch", "snapshot-id": number})
    catalog.commit_table(table, (), (AddSnapshotUpdate(snapshot=snapshot), reference))


def _data_file(content: DataFileContent, path: Path, kind: FileFormat, rows: int, **more: Any) -> DataFile:
    sizes = {"record_count": rows, "file_size_in_bytes": path.stat().st_size, "spec_id": 0, **more}
    file = DataFile.from_args(
        content=content, file_path=f"file://{path}", file_format=kind, partition=Record(), **sizes
    )
    file.spec_id = 0
    return file
