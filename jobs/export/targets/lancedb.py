"""LanceDB: a table in a folder or bucket. All Arrow types go along; the note is in the table's schema metadata.

Searchable are float32, float16, and bits by Hamming distance as lists of uint8; int8 would be stored and never found.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, ClassVar

os.environ.setdefault("LANCEDB_LOG", "error")  # or each new table brings a warning that it does not exist yet

import lancedb
import pyarrow as pa
from lancedb import index

from adaptor.artefact import Adaptor
from adaptor.errors import InputError
from jobs.config.export import DestinationSection
from jobs.config.uris import local_path, scheme_of
from jobs.export.collection import Collection, VectorColumn
from jobs.export.rows import Rows
from jobs.export.state import STATE_KEY, State
from jobs.export.target import Takes
from jobs.sources.ids import id_strings
from jobs.sources.table_storage import object_store_options

_INDEXES = {"ivf_hnsw_sq": index.HnswSq, "ivf_pq": index.IvfPq, "ivf_flat": index.IvfFlat}
_DELETED_AT_ONCE = 1000


class LanceDB:
    """A `Target`. Each file and each feed is one version of the table."""

    takes: ClassVar[Takes] = Takes(
        encodings={"float32": None, "float16": None, "binary": None},
        indexes=("none", *_INDEXES),
        reserved=frozenset({"_rowid", "_rowaddr", "_distance", "_score"}),
        batch_rows=65_536,
    )
    failures: tuple[type[Exception], ...] = (RuntimeError, OSError)

    def __init__(self, destination: DestinationSection, collection: Collection, adaptor: Adaptor | None) -> None:
        if destination.uri.startswith("db://"):
            raise InputError("LanceDB Cloud (db://) is not a target: give a folder or an s3:// URI")
        self._destination, self._collection = destination, collection
        self._index = destination.index or self.takes.indexes[0]
        if collection.vector.encoding == "binary" and self._index not in ("none", "ivf_flat"):
            raise InputError(f"LanceDB indexes bits with ivf_flat only: destination.index cannot be {self._index}")
        fields = {column.name: pa.field(column.name, _lance_type(collection, column)) for column in collection.vectors}
        self._schema = pa.schema([fields.get(field.name, field) for field in collection.schema])
        self._table: Any = None

    def open(self) -> State | None:
        """Open the table, if there is one."""
        uri = self._destination.uri
        if scheme_of(uri) == "" and not local_path(uri).is_dir():  # connecting would make the folder
            return None
        try:
            self._table = self._connect().open_table(self._collection.name)
        except ValueError as problem:
            if "not found" not in str(problem):
                raise
            return None
        note = (self._table.schema.metadata or {}).get(STATE_KEY.encode())
        where = f"LanceDB table {self._collection.name}"
        if note is None:
            raise InputError(f"{where} exists and was not made by export: give another destination.collection")
        return State.from_json(note, where)

    def create(self, state: State) -> None:
        """An empty table, in the place of an older one."""
        schema = self._schema.with_metadata({STATE_KEY: state.to_json()})
        self._table = self._connect().create_table(self._collection.name, schema=schema, mode="overwrite")

    def write(self, rows: Iterator[Rows], *, new: bool) -> None:
        """Append, or merge by id: one commit."""
        problems: list[BaseException] = []
        reader = pa.RecordBatchReader.from_batches(self._schema, self._lance_batches(rows, problems))
        try:
            if new:
                self._table.add(reader)
            else:
                merge = self._table.merge_insert(self._collection.id_column)
                merge.when_matched_update_all().when_not_matched_insert_all().execute(reader)
        except self.failures:
            if problems:  # Lance makes an error of its own of what goes wrong while it reads
                raise problems[0] from None
            raise

    def delete(self, rows: Iterator[Rows]) -> None:
        """Delete by id."""
        for part in rows:
            for some in part.slices(_DELETED_AT_ONCE):
                self._table.delete(f"`{self._collection.id_column}` in ({', '.join(_literals(some.ids))})")

    def save(self, state: State) -> None:
        """Write the note into the schema's metadata."""
        self._table.to_lance().update_schema_metadata({STATE_KEY: state.to_json()})
        self._table.checkout_latest()

    def count(self) -> int:
        """Rows of the newest version."""
        return int(self._table.count_rows())

    def finish(self) -> list[str]:
        """Make the index once, and take later rows into it. Small files stay: putting them together would write the
        whole table anew, which is for its owner to decide (`table.optimize()`)."""
        if self._index == "none":
            return []
        column = self._collection.vector
        if self._table.list_indices():
            self._table.to_lance().optimize.optimize_indices()
            self._table.checkout_latest()
        else:
            kind = _INDEXES[self._index](distance_type=self._collection.comparison(column))
            self._table.create_index(column.name, config=kind)
        return []

    def close(self) -> None:
        """Nothing is held."""

    def _connect(self) -> Any:
        options = object_store_options(self._destination.uri, self._destination.filesystem)
        return lancedb.connect(self._destination.uri, storage_options=options or None)

    def _lance_batches(self, rows: Iterator[Rows], problems: list[BaseException]) -> Iterator[pa.RecordBatch]:
        try:
            for part in rows:
                yield self._lance_batch(part)
        except BaseException as problem:
            problems.append(problem)
            raise

    def _lance_batch(self, rows: Rows) -> pa.RecordBatch:
        columns = list(rows.table.columns)
        for column in self._collection.vectors:
            field = self._schema.field(column.name)
            codes = pa.array(rows.codes(column).reshape(-1))
            columns[self._schema.get_field_index(column.name)] = pa.FixedSizeListArray.from_arrays(
                codes, field.type.list_size
            )
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)


def _lance_type(collection: Collection, column: VectorColumn) -> pa.DataType:
    if column.encoding == "binary":
        return pa.list_(pa.uint8(), column.dim // 8)
    return pa.list_(pa.from_numpy_dtype(column.encoding), column.dim)


def _literals(ids: pa.Array) -> list[str]:
    """Ids as literals of Lance's SQL."""
    texts = [text or "" for text in id_strings(ids)]
    if isinstance(ids.type, pa.UuidType):
        return [f"arrow_cast(X'{text.replace('-', '')}', 'FixedSizeBinary(16)')" for text in texts]
    if pa.types.is_integer(ids.type) or pa.types.is_decimal(ids.type):
        return texts
    return ["'" + text.replace("'", "''") + "'" for text in texts]
