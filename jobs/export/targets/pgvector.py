"""PostgreSQL with pgvector: a table, filled by binary COPY. float32 is `vector`, float16 `halfvec`, binary `bit`.

Each file of a full load and each feed is one transaction together with the note, which is the table's comment: nothing
is ever there in part. The password comes from the usual places of libpq (PGPASSWORD, ~/.pgpass).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, LiteralString

import psycopg
import pyarrow as pa
from psycopg import sql

from adaptor.artefact import Adaptor
from adaptor.errors import InputError
from jobs.config.export import DestinationSection
from jobs.export.collection import Collection, VectorColumn
from jobs.export.json_values import UnreadableValue
from jobs.export.pgcopy import SIGNATURE, TRAILER, Fields, column_fields, rows_of, sql_type_of, vector_fields
from jobs.export.rows import Rows
from jobs.export.state import STATE_KEY, State
from jobs.export.target import Takes

_TYPES = {"float32": "vector", "float16": "halfvec", "binary": "bit"}
#: Operator and operator class of an index, by comparison.
_OPERATORS = {"cosine": ("<=>", "cosine"), "dot": ("<#>", "ip"), "l2": ("<->", "l2"), "hamming": ("<~>", "hamming")}
#: Most dims that an HNSW index takes, and a column.
_INDEXED = {"vector": 2000, "halfvec": 4000, "bit": 64_000}
_STORED = 16_000


class Pgvector:
    """A `Target`."""

    takes: ClassVar[Takes] = Takes(
        encodings={"float32": _STORED, "float16": _STORED, "binary": None},
        indexes=("hnsw", "none"),
        reserved=frozenset({"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"}),
        batch_rows=8192,
    )
    failures: tuple[type[Exception], ...] = (psycopg.Error,)

    def __init__(self, destination: DestinationSection, collection: Collection, adaptor: Adaptor | None) -> None:
        self._destination, self._collection = destination, collection
        self._index = destination.index or self.takes.indexes[0]
        first = _TYPES[collection.vector.encoding]
        if self._index == "hnsw" and collection.vector.dim > _INDEXED[first]:
            raise InputError(
                f"pgvector indexes at most {_INDEXED[first]:,} dims of {first}, column {collection.vector.name!r} has "
                f"{collection.vector.dim:,}: compress with a smaller output.dim, or set destination.index: none"
            )
        vectors = {column.name: column for column in collection.vectors}
        self._types: dict[str, str] = {}
        for field in collection.schema:
            column = vectors.get(field.name)
            kind = f"{_TYPES[column.encoding]}({column.dim})" if column else sql_type_of(field.type)
            if kind is None:
                raise InputError(
                    f"column {field.name!r} is of type {field.type}, for which there is no SQL type: leave it out "
                    "(destination.payload)"
                )
            self._types[field.name] = kind
        self._connection: Any = None

    def open(self) -> State | None:
        """Connect and read the comment of the table."""
        connection: Any = psycopg.connect(self._destination.uri, connect_timeout=10)
        self._connection = connection
        connection.execute("set client_encoding to 'UTF8'")
        comment, absent = connection.execute(
            "select obj_description(to_regclass(%s), 'pg_class'), to_regclass(%s) is null",
            [self._collection.name, self._collection.name],
        ).fetchone()
        connection.rollback()
        if absent:
            return None
        where = f"table {self._collection.name}"
        if comment is None or not comment.startswith(f"{STATE_KEY} "):
            raise InputError(f"{where} exists and was not made by export: give another destination.collection")
        return State.from_json(comment.removeprefix(f"{STATE_KEY} "), where)

    def create(self, state: State) -> None:
        """An empty table, in the place of an older one, once `save` is called."""
        names, key = self._types.items(), self._collection.id_column
        columns = [_part("{} {}", _name(name), _raw(kind)) for name, kind in names]
        self._execute("create extension if not exists vector")
        self._execute("drop table if exists {}", self._table)
        self._execute("create table {} ({}, primary key ({}))", self._table, _listed(columns), _name(key))
        self.save(state)

    def write(self, rows: Iterator[Rows], *, new: bool) -> None:
        """COPY into the table, or into a temporary one and from there by id."""
        names = _listed(map(_name, self._types))
        if new:
            self._copy(self._table, names, (self._fields(part) for part in rows))
            return
        given = self._temporary(names)
        self._copy(given, names, (self._fields(part) for part in rows))
        key = self._collection.id_column
        changes = [_part("{0} = excluded.{0}", _name(name)) for name in self._types if name != key]
        self._execute(
            "insert into {} ({}) select {} from {} on conflict ({}) do update set {}",
            *(self._table, names, names, given, _name(key), _listed(changes)),
        )
        self._execute("drop table {}", given)

    def delete(self, rows: Iterator[Rows]) -> None:
        """COPY the ids into a temporary table, and delete what matches."""
        key = self._collection.id_column
        given = self._temporary(_name(key))
        self._copy(given, _name(key), ([self._column(part, key)] for part in rows))
        self._execute("delete from {0} using {1} where {0}.{2} = {1}.{2}", self._table, given, _name(key))
        self._execute("drop table {}", given)

    def save(self, state: State) -> None:
        """Write the comment, and commit it with all that came before."""
        self._execute("comment on table {} is {}", self._table, sql.Literal(f"{STATE_KEY} {state.to_json()}"))
        self._connection.commit()

    def count(self) -> int:
        """Rows, those of this transaction included."""
        return int(self._execute("select count(*) from {}", self._table).fetchone()[0])

    def finish(self) -> list[str]:
        """Make the HNSW index if it is wanted and not there; tell how to search."""
        if self._index == "hnsw":
            column = self._collection.vector
            kind = _TYPES[column.encoding]
            operators = f"{kind}_{_OPERATORS[self._collection.comparison(column)][1]}_ops"
            name = _name(f"{self._collection.name[:50]}_hnsw")
            statement = "create index if not exists {} on {} using hnsw ({} {})"
            self._execute(statement, name, self._table, _name(column.name), _name(operators))
        return [f"search: {search_statement(self._collection)}"]

    def close(self) -> None:
        """Disconnect; what was not saved is rolled back."""
        if self._connection is not None:
            self._connection.close()

    @property
    def _table(self) -> sql.Identifier:
        return _name(self._collection.name)

    def _execute(self, statement: LiteralString, *parts: sql.Composable) -> Any:
        return self._connection.execute(_part(statement, *parts))

    def _temporary(self, columns: sql.Composable) -> sql.Identifier:
        """An empty table with these columns, for this transaction."""
        given = _name("matryoshka_given")
        statement = "create temporary table {} on commit drop as select {} from {} limit 0"
        self._execute(statement, given, columns, self._table)
        return given

    def _copy(self, table: sql.Identifier, columns: sql.Composable, batches: Iterator[list[Fields]]) -> None:
        cursor = self._connection.cursor()
        with cursor.copy(_part("copy {} ({}) from stdin (format binary)", table, columns)) as copy:
            copy.write(SIGNATURE)
            for fields in batches:
                copy.write(rows_of(fields))
            copy.write(TRAILER)

    def _fields(self, rows: Rows) -> list[Fields]:
        vectors = {column.name: column for column in self._collection.vectors}
        return [
            self._vector(rows, vectors[name]) if name in vectors else self._column(rows, name) for name in self._types
        ]

    def _vector(self, rows: Rows, column: VectorColumn) -> Fields:
        return vector_fields(rows.codes(column), _TYPES[column.encoding])

    def _column(self, rows: Rows, name: str) -> Fields:
        try:
            return column_fields(rows.table.column(name), self._types[name])
        except UnreadableValue as problem:
            raise rows.refused(problem.row, name, problem.rule) from problem
        except pa.ArrowInvalid as problem:
            raise InputError(
                f"{rows.file}: column {name!r}: {problem}; mend it, or leave the column out (destination.payload)"
            ) from problem


def search_statement(collection: Collection) -> str:
    """The SQL that finds the nearest rows. Parameters are `%(query)s`, `%(limit)s`, and with a second column also
    `%(candidates)s` and `%(rescore_query)s`, by which those that the first finds are put in order."""
    key, table = _name(collection.id_column), _name(collection.name)
    first = _distance(collection, collection.vector, "query")
    if collection.rescore is None:
        statement = _part("select {} from {} order by {} limit %(limit)s", key, table, first)
    else:
        second = _distance(collection, collection.rescore, "rescore_query")
        statement = _part(
            "with nearest as materialized (select {0}, {1} from {2} order by {3} limit %(candidates)s) "
            "select {0} from nearest order by {4} limit %(limit)s",
            *(key, _name(collection.rescore.name), table, first, second),
        )
    text: str = statement.as_string(None)
    return text


def _distance(collection: Collection, column: VectorColumn, parameter: str) -> sql.Composed:
    operator = _OPERATORS[collection.comparison(column)][0]
    kind = f"{_TYPES[column.encoding]}({column.dim})"
    return _part("{} {} {}::{}", _name(column.name), _raw(operator), sql.Placeholder(parameter), _raw(kind))


def _raw(text: str) -> sql.SQL:
    """SQL of our own making."""
    return sql.SQL(text)


def _name(name: str) -> sql.Identifier:
    return sql.Identifier(name)


def _part(statement: LiteralString, *parts: sql.Composable) -> sql.Composed:
    return sql.SQL(statement).format(*parts)


def _listed(parts: Iterable[sql.Composable]) -> sql.Composed:
    return sql.SQL(", ").join(parts)
