"""The small tables beside a source, read whole: query vectors and relevance judgments."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adaptor.errors import InputError
from adaptor.rows import Floats
from jobs.config.sections import QrelsSection, QueriesSection
from jobs.sources.columns import require_column, require_ids, require_vectors
from jobs.sources.ids import id_strings
from jobs.sources.source import open_source
from jobs.sources.vectors import decode

_BATCH_ROWS = 8192
_SPLIT = "split"


@dataclass(frozen=True)
class Queries:
    """Query ids as strings, in file order, and their vectors (q, d) float32."""

    ids: list[str]
    vectors: Floats


@dataclass(frozen=True)
class _Rows:
    """Some rows of one file and split; `first` is the number of the first one, which counts those of the split."""

    where: str
    first: int
    table: pa.RecordBatch

    def problem(self, row: int, text: str) -> InputError:
        """What is wrong with a row."""
        return InputError(f"{self.where}, row {self.first + row}: {text}")

    def ids(self, column: str) -> list[str]:
        """The ids of all rows; `InputError` for a null."""
        ids = id_strings(self.table.column(column))
        if None in ids:
            raise self.problem(ids.index(None), f"column '{column}' is null: give the id or remove the row")
        return cast(list[str], ids)

    def grades(self, column: str) -> list[int]:
        """The integers of all rows; `InputError` for a null and for other numbers."""
        try:
            grades = self.table.column(column).cast(pa.int64())
        except pa.ArrowException as error:
            raise InputError(f"{self.where}: column '{column}' must hold integer grades ({error})") from error
        if grades.null_count:
            row = grades.is_null().index(True).as_py()
            raise self.problem(row, f"column '{column}' is null: give a grade or remove the row")
        return cast(list[int], grades.to_pylist())


def read_queries(section: QueriesSection, dim: int | None, repeated: bool = False) -> Queries:
    """Read the queries of one split (or all).

    `InputError` when the vectors have another dimension than `dim` (None: than each other), one is unusable, an id is
    null or (unless `repeated`) doubled, or nothing is left. A bad query always stops the command.
    """
    ids: list[str] = []
    parts: list[Floats] = []
    earlier_ids: set[str] = set()
    vectors = partial(require_vectors, layout=section.vectors)
    for rows in _read(section, "queries", {"id_column": require_ids, "vector_column": vectors}):
        decoded = decode(rows.table.column(section.vector_column), dim)
        for row, reason in decoded.reasons.items():
            same_model = f"queries must come from the same model as the source ({dim} numbers)"
            hint = same_model if "length" in reason else "correct it"
            raise rows.problem(row, f"column '{section.vector_column}': {reason}: {hint}, or remove the row")
        dim = decoded.vectors.shape[1]
        parts.append(decoded.vectors)
        for row, name in enumerate(rows.ids(section.id_column)):
            if name in earlier_ids and not repeated:
                raise rows.problem(row, f"query id '{name}' occurs twice: keep one of them")
            earlier_ids.add(name)
            ids.append(name)
    return Queries(ids, np.concatenate(parts))


def read_qrels(section: QrelsSection) -> dict[str, dict[str, int]]:
    """Read the judgments of one split (or all): query id → document id → grade, ids as strings.

    `InputError` for a null, for a grade that is not an integer, and for two grades of one pair.
    """
    qrels: dict[str, dict[str, int]] = {}
    checks = {"query_column": require_ids, "document_column": require_ids, "grade_column": require_column}
    for rows in _read(section, "qrels", checks):
        triples = zip(
            rows.ids(section.query_column),
            rows.ids(section.document_column),
            rows.grades(section.grade_column),
            strict=True,
        )
        for row, (query, document, grade) in enumerate(triples):
            first_grade = qrels.setdefault(query, {}).setdefault(document, grade)
            if first_grade != grade:
                raise rows.problem(
                    row,
                    f"query '{query}' and document '{document}' have grade {first_grade} and grade {grade}: "
                    "keep one of them",
                )
    return qrels


def _read(
    section: QueriesSection | QrelsSection,
    name: str,
    checks: Mapping[str, Callable[[str, pa.Schema, str, str], object]],
) -> Iterator[_Rows]:
    """The rows of the split, file by file; `checks` judge the columns that the settings of the section `name`.

    `InputError` when no row is left.
    """
    source, columns = open_source(section, name), {setting: getattr(section, setting) for setting in checks}
    row_count, splits = 0, set[str | None]()
    for shard in source.shards():
        where = section.uri if section.uri.rpartition("/")[2] == shard.key else f"{section.uri}: {shard.key}"
        info = source.describe(shard)
        if not info.rows:  # columns without values may have no type either
            continue
        for setting, check in checks.items():
            check(where, info.schema, columns[setting], f"{name}.{setting}")
        names = {*columns.values()}
        if section.split is not None:
            require_column(where, info.schema, _SPLIT, f"{name}.split to null, or add the column")
            names.add(_SPLIT)
        first = 0
        for batch in source.read(shard, range(len(info.row_group_rows)), _BATCH_ROWS, sorted(names)):
            table = batch.table
            if section.split is not None:
                values = table.column(_SPLIT).cast(pa.string())
                splits.update(pc.unique(values).to_pylist())
                table = table.filter(pc.equal(values, section.split))
            if table.num_rows:
                yield _Rows(where, first, table)
            first += table.num_rows
        row_count += first
    if not row_count and splits:
        listed = ", ".join(sorted(f"'{split}'" for split in splits))
        raise InputError(f"{section.uri} has no row with split '{section.split}'; it has {listed}: set {name}.split")
    if not row_count:
        raise InputError(f"{section.uri} holds no rows: check {name}.uri")
