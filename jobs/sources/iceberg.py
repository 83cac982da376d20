"""Iceberg tables, read through their metadata (pyiceberg): the live files of one snapshot, without deleted rows."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from functools import cached_property, partial
from typing import TYPE_CHECKING

import pyarrow as pa

from adaptor.errors import InputError
from jobs.config.sections import SourceSection
from jobs.config.uris import scheme_of
from jobs.sources.iceberg_catalog import metadata_in_catalog
from jobs.sources.iceberg_deletes import deleted_rows
from jobs.sources.live_files import LiveFile, Snapshot, TableSource
from jobs.sources.source import Shard
from jobs.sources.table_columns import TableColumn, column_of
from jobs.sources.table_storage import TableFolder, iceberg_properties
from jobs.storage.objects import Objects
from jobs.storage.open import open_file_or_folder

if TYPE_CHECKING:
    from pyiceberg.schema import Schema
    from pyiceberg.table import FileScanTask, StaticTable

_FIELD_ID = b"PARQUET:field_id"
_METADATA = re.compile(r"(?:.*/)?v?(\d+)[^/]*\.metadata\.json(?:\.gz)?$|(?:.*/)?v?(\d+)[^/]*\.gz\.metadata\.json$")


class IcebergSource(TableSource):
    """The live files of a snapshot of the table whose folder, or whose metadata file, is `section.uri`; a `Source`."""

    def _load(self, version: str | None) -> Snapshot:
        table = self._table
        snapshot_id, schema = self._version(version)
        number = "none" if snapshot_id is None else f"{snapshot_id}.{schema.schema_id}"
        title = f"snapshot {number} of the Iceberg table ({table.metadata_location.rpartition('/')[2]})"
        if snapshot_id is None:
            return Snapshot(version=number, title=title, files={})
        folder = TableFolder(table.location(), self._section.filesystem)
        files = {}
        for task in self._tasks(snapshot_id):
            file = task.file
            if file.file_format.value != "PARQUET":
                raise InputError(
                    f"{self.uri}: {file.file_path} is of the format {file.file_format.value}, which is not read: "
                    "rewrite the table's files as Parquet (write.format.default, rewrite_data_files)"
                )
            key, objects, own_key = folder.place(file.file_path)
            deletes = sorted(delete.file_path for delete in task.delete_files)
            state = f"{file.record_count}-{_digest([str(schema), *deletes])}"
            files[key] = LiveFile(
                shard=Shard(key, file.file_size_in_bytes, state),
                objects=objects,
                key=own_key,
                columns=partial(self._columns, task, schema),
                find_deleted=partial(deleted_rows, table.io, task) if deletes else None,
            )
        return Snapshot(version=number, title=title, files=files)

    @cached_property
    def _table(self) -> StaticTable:
        from pyiceberg.exceptions import ValidationError
        from pyiceberg.table import StaticTable

        name = self._section.catalog_table if isinstance(self._section, SourceSection) else None
        location = self._found_metadata() if name is None else metadata_in_catalog(name, self.uri)
        try:
            return StaticTable.from_metadata(location, iceberg_properties(self.uri, self._section.filesystem))
        except (ValueError, KeyError, ValidationError) as error:
            raise InputError(f"{self.uri}: {location} is no metadata of an Iceberg table: {error}") from error

    def _found_metadata(self) -> str:
        """URI of the metadata file that `uri` is, or of the newest below it."""
        objects = open_file_or_folder(self.uri, self._section.filesystem)
        place = objects.path(objects.only or self._newest_metadata(objects))
        return place if scheme_of(self.uri) in ("", "file") else f"{scheme_of(self.uri)}://{place}"

    def _newest_metadata(self, objects: Objects) -> str:
        """Key of the metadata file that counts: that which `version-hint.text` names, or the highest number."""
        keys = [info.key for info in objects.list("metadata/")]
        numbered = {key: int(match[1] or match[2]) for key in keys if (match := _METADATA.fullmatch(key))}
        if not numbered:
            raise InputError(
                f"{self.uri} is no Iceberg table (no metadata/*.metadata.json): check {self._setting}.uri, or give the "
                "table's metadata file itself, which the catalog knows"
            )
        number = max(numbered.values())
        if "metadata/version-hint.text" in keys:
            hint = objects.read("metadata/version-hint.text").decode(errors="replace").strip()
            number = int(hint) if hint.isdecimal() else number
        chosen = sorted(key for key, value in numbered.items() if value == number)
        if len(chosen) != 1:
            raise InputError(
                f"{self.uri}: {len(chosen)} metadata files have number {number} ({', '.join(chosen[:3])}), only the "
                f"table's catalog knows which one counts: set {self._setting}.uri to that file, or "
                f"{self._setting}.catalog_table"
            )
        return chosen[0]

    def _version(self, version: str | None) -> tuple[int | None, Schema]:
        """The id of a snapshot and the schema that it is read with; `SNAPSHOT.SCHEMA` says both."""
        table = self._table
        if version is None:
            current = table.current_snapshot()
            return None if current is None else current.snapshot_id, table.schema()
        number, _, schema_id = version.partition(".")
        snapshot = table.snapshot_by_id(int(number)) if number.isdecimal() else None
        if snapshot is None:
            there = ", ".join(str(each.snapshot_id) for each in table.metadata.snapshots[-5:])
            raise InputError(
                f"{self.uri} has no snapshot {version} (any more); its last ones are {there or 'none'}: "
                f"set {self._setting}.snapshot"
            )
        wanted = int(schema_id) if schema_id.isdecimal() else snapshot.schema_id
        return snapshot.snapshot_id, table.schemas().get(-1 if wanted is None else wanted, table.schema())

    def _tasks(self, snapshot_id: int) -> Iterable[FileScanTask]:
        try:
            yield from self._table.scan(snapshot_id=snapshot_id).plan_files()
        except (ValueError, NotImplementedError) as error:
            if "equality" not in str(error).lower():
                raise
            raise InputError(
                f"{self.uri}: the Iceberg table has equality deletes, which are not applied: compact it first "
                "(rewrite_data_files with delete-file-threshold 1)"
            ) from error

    def _columns(self, task: FileScanTask, schema: Schema, stored: pa.Schema) -> list[TableColumn]:
        """The columns of the table out of the file of a task: by field ids, or by name where it has none."""
        from pyiceberg.io.pyarrow import schema_to_pyarrow

        by_id = {int((field.metadata or {}).get(_FIELD_ID, -1)): field for field in stored}
        by_id.pop(-1, None)
        constants = self._partition(task)
        columns = []
        for field, arrow in zip(schema.fields, schema_to_pyarrow(schema), strict=True):
            found = by_id.get(field.field_id) if by_id else self._by_name(stored, field.field_id, field.name)
            constant = None
            if found is None:
                value = constants.get(field.field_id, field.initial_default)
                constant = None if value is None else _scalar(value, arrow.type)
            plain = pa.field(field.name, arrow.type, arrow.nullable, {_FIELD_ID: str(field.field_id)})
            columns.append(column_of(f"{self.uri}: {task.file.file_path}", plain, found, constant))
        return columns

    def _by_name(self, stored: pa.Schema, field_id: int, name: str) -> pa.Field | None:
        mapping = self._table.name_mapping()
        names = next((each.names for each in mapping if each.field_id == field_id), [name]) if mapping else [name]
        return next((stored.field(each) for each in names if stored.names.count(each) == 1), None)

    def _partition(self, task: FileScanTask) -> dict[int, object]:
        """Values of identity partitions by field id: files that were added to a table need not hold them."""
        spec = self._table.specs()[task.file.spec_id]
        values = ((field, task.file.partition[index]) for index, field in enumerate(spec.fields))
        return {field.source_id: value for field, value in values if str(field.transform) == "identity"}


def _scalar(value: object, kind: pa.DataType) -> pa.Scalar:
    """A partition's value, which Iceberg holds as days or microseconds for dates and times."""
    if isinstance(value, int) and pa.types.is_date32(kind):
        return pa.scalar(value, pa.int32()).cast(kind)
    if isinstance(value, int) and pa.types.is_timestamp(kind):
        return pa.scalar(value, pa.int64()).cast(kind)
    return pa.scalar(value, kind)


def _digest(texts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]
