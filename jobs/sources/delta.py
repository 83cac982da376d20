"""Delta tables, read through their log (deltalake): the live files of one version, without deleted rows."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import numpy as np
import pyarrow as pa

from adaptor.errors import InputError, RunError
from jobs.config.uris import scheme_of
from jobs.sources.live_files import LiveFile, Snapshot, TableSource
from jobs.sources.source import Shard
from jobs.sources.table_columns import TableColumn, column_of
from jobs.sources.table_storage import object_store_options
from jobs.sources.vectors import Integers
from jobs.storage.open import open_objects

if TYPE_CHECKING:
    from deltalake import DeltaTable

_PHYSICAL_NAME = "delta.columnMapping.physicalName"


class DeltaSource(TableSource):
    """The live files of a version of the table at `section.uri`; a `Source`."""

    def _load(self, version: str | None) -> Snapshot:
        table = self._open(version)
        schema = pa.schema(table.schema().to_arrow())
        self._check_names(table, schema)
        actions = pa.table(table.get_add_actions(flatten=True))
        keys = [self._key(path) for path in actions.column("path").to_pylist()]
        try:
            deleted = self._deleted(table)
        except Exception as error:  # whatever the library raises in a stream
            raise InputError(f"{self.uri}: the deletion vectors of the table cannot be read: {error}") from error
        partitions = _partitions(actions)
        objects, schema_hash = open_objects(self.uri, self._section.filesystem), _digest(str(schema).encode())
        files = {}
        sizes, times = actions.column("size_bytes").to_pylist(), actions.column("modification_time").to_pylist()
        for key, size, time, partition in zip(keys, sizes, times, partitions, strict=True):
            rows = deleted.get(key)
            shard = Shard(key, size, f"{time}-{schema_hash}" + ("" if rows is None else f"-{_digest(rows.tobytes())}"))
            columns = partial(_columns, f"{self.uri}: {key}", schema, partition)
            find = None if rows is None else partial(_itself, rows)
            files[key] = LiveFile(shard=shard, objects=objects, key=key, columns=columns, find_deleted=find)
        number = str(table.version())
        return Snapshot(version=number, title=f"version {number} of the Delta table", files=files)

    def _open(self, version: str | None) -> DeltaTable:
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError, DeltaProtocolError, TableNotFoundError

        if version is not None and not version.isdecimal():
            raise InputError(f"{self._setting}.snapshot is {version!r}: a version of a Delta table is a number")
        objects = open_objects(self.uri, self._section.filesystem)
        uri = self.uri.rstrip("/") if scheme_of(self.uri) not in ("", "file") else objects.path("x").removesuffix("/x")
        try:
            options = object_store_options(self.uri, self._section.filesystem)
            number = None if version is None else int(version)
            return DeltaTable(uri, number, storage_options=options)
        except TableNotFoundError as error:
            raise InputError(f"{self.uri} is no Delta table: check {self._setting}.uri ({error})") from error
        except DeltaProtocolError as error:
            raise InputError(f"{self.uri} is a Delta table that deltalake cannot read: {error}") from error
        except DeltaError as error:
            raise InputError(
                f"{self.uri}: version {'(newest)' if version is None else version} of the Delta table cannot be read: "
                f"{error}"
            ) from error
        except OSError as error:
            raise RunError(f"{self.uri}: the log of the Delta table could not be read: {error}") from error

    def _key(self, path: str) -> str:
        key = unquote(path)
        if scheme_of(key) or key.startswith("/"):
            raise InputError(
                f"{self.uri}: the table refers to {key}, a file of another table (a shallow clone), which is not read: "
                "copy the table (deep clone)"
            )
        return key

    def _deleted(self, table: DeltaTable) -> dict[str, Integers]:
        """Rows that deletion vectors mark, by key."""
        if "deletionVectors" not in (table.protocol().reader_features or ()):
            return {}
        deleted, root = {}, table.table_uri.rstrip("/") + "/"
        for batch in pa.RecordBatchReader.from_stream(table.deletion_vectors()):
            for path, keep in zip(*(batch.column(name) for name in ("filepath", "selection_vector")), strict=True):
                flags = keep.values.to_numpy(zero_copy_only=False)
                key = unquote(path.as_py().removeprefix(root))
                deleted[key] = np.flatnonzero(~flags).astype(np.int64)
        return deleted

    def _check_names(self, table: DeltaTable, schema: pa.Schema) -> None:
        """`InputError` when fields inside of columns were renamed."""
        if (table.metadata().configuration or {}).get("delta.columnMapping.mode", "none") == "none":
            return
        for field in schema:
            for inner in _inner(field):
                if _physical_name(inner) != inner.name:
                    raise InputError(
                        f"{self.uri}: column '{field.name}' has fields that are stored under other names (column "
                        "mapping of structs), which is not read: rewrite the table without column mapping, or leave "
                        f"{field.name} out of it"
                    )


def _partitions(actions: pa.Table) -> list[dict[str, pa.Scalar]]:
    """For each file the values of the partition columns, which are not in the file."""
    names = [name for name in actions.column_names if name.startswith("partition.")]
    values = [list(actions.column(name)) for name in names]
    short = [name.removeprefix("partition.") for name in names]
    return [dict(zip(short, row, strict=True)) for row in zip(*values, strict=True)] or [{}] * len(actions)


def _columns(where: str, table: pa.Schema, partition: dict[str, pa.Scalar], schema: pa.Schema) -> list[TableColumn]:
    """The columns of the table out of the file `where`, which has this `schema`."""
    columns = []
    for field in table:
        physical = _physical_name(field)
        constant = partition.get(field.name, partition.get(physical))
        stored = schema.field(physical) if schema.names.count(physical) == 1 and constant is None else None
        columns.append(column_of(where, pa.field(field.name, field.type, field.nullable), stored, constant))
    return columns


def _physical_name(field: pa.Field) -> str:
    return str((field.metadata or {}).get(_PHYSICAL_NAME.encode(), field.name.encode()).decode())


def _inner(field: pa.Field) -> list[pa.Field]:
    """All fields inside of one."""
    kind: Any = field.type
    fields = [kind.field(index) for index in range(kind.num_fields)]
    return fields + [inner for child in fields for inner in _inner(child)]


def _itself(rows: Integers) -> Integers:
    return rows


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
