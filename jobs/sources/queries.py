"""The small tables beside a source, read whole: query vectors and relevance judgments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from adaptor.errors import InputError
from jobs.config.sections import QrelsSection, QueriesSection
from jobs.sources.columns import require_column
from jobs.sources.ids import id_strings, is_id_type
from jobs.sources.source import open_source
from jobs.sources.vector_types import is_vector_type
from jobs.sources.vectors import decode

_BATCH_ROWS = 8192
_SPLIT = "split"


@dataclass(frozen=True)
class Queries:
    """Query ids as strings, in file order, and their vectors (q, d) float32."""

    ids: list[str]
    vectors: npt.NDArray[np.float32]


def read_queries(section: QueriesSection, dim: int | None, repeated: bool = False) -> Queries:
    """Read the queries of one split (or all).

    `InputError` when the vectors have another dimension than `dim` (None: than each other), one is unusable, an id is
    null or (unless `repeated`) doubled, or nothing is left. A bad query always stops the command: there is no
    quarantine for queries.
    """
    ids: list[str] = []
    parts: list[npt.NDArray[np.float32]] = []
    seen: set[str] = set()
    columns = {"id_column": section.id_column, "vector_column": section.vector_column}
    for where, first, batch in _rows(section, "queries", columns):
        kind = batch.column(1).type
        _require(is_vector_type(kind), where, section.vector_column, kind, "lists of float16, float32 or float64")
        found = decode(batch.column(1), dim)
        for row, reason in found.reasons.items():
            raise InputError(_bad_query(where, first + row, section, reason, dim))
        dim = found.vectors.shape[1]
        parts.append(found.vectors)
        for row, name in _ids(batch.column(0), where, section.id_column, first):
            if name in seen and not repeated:
                raise InputError(f"{where}, row {row}: query id '{name}' occurs twice: keep one of them")
            seen.add(name)
            ids.append(name)
    return Queries(ids, np.concatenate(parts))


def read_qrels(section: QrelsSection) -> dict[str, dict[str, int]]:
    """Read the judgments of one split (or all): query id → document id → grade, ids as strings.

    `InputError` for a null, for a grade that is not an integer, and for two grades of one pair.
    """
    qrels: dict[str, dict[str, int]] = {}
    columns = {
        "query_column": section.query_column,
        "document_column": section.document_column,
        "grade_column": section.grade_column,
    }
    for where, first, batch in _rows(section, "qrels", columns):
        queries = _ids(batch.column(0), where, section.query_column, first)
        documents = _ids(batch.column(1), where, section.document_column, first)
        grades = _grades(batch.column(2), where, section.grade_column, first)
        for (row, query), (_, document), grade in zip(queries, documents, grades, strict=True):
            known = qrels.setdefault(query, {}).setdefault(document, grade)
            if known != grade:
                raise InputError(
                    f"{where}, row {row}: query '{query}' and document '{document}' have grade {known} and "
                    f"grade {grade}: keep one of them"
                )
    return qrels


def _rows(
    section: QueriesSection | QrelsSection, name: str, columns: dict[str, str]
) -> Iterator[tuple[str, int, pa.RecordBatch]]:
    """Batches of the asked columns in the asked split: (file for messages, number of the batch's first row, batch).

    Row numbers in messages count the kept rows of the file. `InputError` when no row is left at all.
    """
    source = open_source(section, name)
    kept, splits = 0, set()
    for shard in source.shards():
        where = section.uri if section.uri.rpartition("/")[2] == shard.key else f"{section.uri}: {shard.key}"
        info = source.describe(shard)
        for setting, column in columns.items():
            require_column(where, info.schema, column, f"{name}.{setting}")
        wanted = list(dict.fromkeys(columns.values()))
        if section.split is not None:
            require_column(where, info.schema, _SPLIT, f"{name}.split to null, or add the column")
            wanted.append(_SPLIT)
        first = 0
        for batch in source.read(shard, range(len(info.row_group_rows)), _BATCH_ROWS, wanted):
            table = batch.table
            if section.split is not None:
                values = table.column(_SPLIT).cast(pa.string())
                splits.update(pc.unique(values).to_pylist())
                table = table.filter(pc.equal(values, section.split))
            if table.num_rows:
                yield where, first, table.select(list(columns.values()))
            first += table.num_rows
        kept += first
    if not kept:
        raise InputError(_nothing_left(section, name, splits))


def _nothing_left(section: QueriesSection | QrelsSection, name: str, splits: set[str | None]) -> str:
    if section.split is None or not splits:
        return f"{section.uri} holds no rows: check {name}.uri"
    there = ", ".join(sorted(f"'{value}'" for value in splits))
    return f"{section.uri} has no row with split '{section.split}'; it has {there}: set {name}.split"


def _ids(column: pa.Array, where: str, name: str, first: int) -> Iterator[tuple[int, str]]:
    """(row number, id) of each row."""
    _require(is_id_type(column.type), where, name, column.type, "strings, integers or UUIDs")
    for row, value in zip(count(first), id_strings(column), strict=False):
        if value is None:
            raise InputError(f"{where}, row {row}: column '{name}' is null: give the id or remove the row")
        yield row, value


def _grades(column: pa.Array, where: str, name: str, first: int) -> Sequence[int]:
    try:
        grades = column.cast(pa.int64())
    except pa.ArrowException as error:
        raise InputError(f"{where}: column '{name}' must hold integer grades ({error})") from error
    if grades.null_count:
        row = first + grades.is_null().index(True).as_py()
        raise InputError(f"{where}, row {row}: column '{name}' is null: give a grade or remove the row")
    values: list[int] = grades.to_pylist()
    return values


def _require(good: bool, where: str, name: str, kind: pa.DataType, rule: str) -> None:
    if not good:
        raise InputError(f"{where}: column '{name}' is of type {kind}: it must hold {rule}")


def _bad_query(where: str, row: int, section: QueriesSection, reason: str, dim: int | None) -> str:
    hint = (
        f"queries must come from the same model as the source ({dim} numbers)" if "length" in reason else "correct it"
    )
    return f"{where}, row {row}: column '{section.vector_column}': {reason}: {hint}, or remove the row"
