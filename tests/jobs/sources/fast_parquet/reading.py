"""A shard read both ways, and what came of it in a form that can be compared bit by bit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from adaptor.errors import InputError
from jobs.config.sections import SourceSection
from jobs.sources import parquet_reader
from jobs.sources.fast_parquet.headers import NeedsArrowReader
from jobs.sources.fast_parquet.tables import read_directly
from jobs.sources.source import open_source


@dataclass
class Outcome:
    """Batches as (row group, first row, cells), or the error that ended the reading, and why pyarrow had to help."""

    batches: list[tuple[int, int, str]]
    error: str | None
    gave_up: list[str]

    @property
    def result(self) -> object:
        """What must not depend on the way of reading: the rows, or that there was an error."""
        return self.batches if self.error is None else "error"


def both_ways(
    monkeypatch: pytest.MonkeyPatch, folder: Path, batch_rows: int = 64, columns: list[str] | None = None
) -> tuple[Outcome, Outcome]:
    """The shard in `folder` read directly, and by pyarrow alone."""
    directly, by_pyarrow = Outcome([], None, []), Outcome([], None, [])

    def watched(*arguments: Any) -> Iterator[pa.RecordBatch]:
        try:
            yield from read_directly(*arguments)
        except NeedsArrowReader as why:
            directly.gave_up.append(str(why))
            raise

    def never(*_: Any) -> Iterator[pa.RecordBatch]:
        raise NeedsArrowReader("not wanted")

    for outcome, way in ((directly, watched), (by_pyarrow, never)):
        monkeypatch.setattr(parquet_reader, "read_directly", way)
        _read(folder, batch_rows, columns, outcome)
    return directly, by_pyarrow


def _read(folder: Path, batch_rows: int, columns: list[str] | None, outcome: Outcome) -> None:
    source = open_source(SourceSection(uri=str(folder)))
    (shard,) = source.shards()
    try:
        groups = range(len(source.describe(shard).row_group_rows))
        for batch in source.read(shard, groups, batch_rows, columns):
            batch.table.validate(full=True)
            cells = f"{batch.table.schema} {[_bits(column) for column in batch.table.columns]}"
            outcome.batches.append((batch.row_group, batch.first_row, cells))
    except InputError as problem:
        outcome.error = str(problem)


def _bits(column: pa.Array) -> str:
    """All values, NaNs told apart by their bits."""
    storage = column.storage if isinstance(column, pa.ExtensionArray) else column
    lists = pa.types.is_list(storage.type) or pa.types.is_fixed_size_list(storage.type)
    numbers = ""
    if lists and pa.types.is_floating(storage.type.value_type) and not storage.flatten().null_count:
        numbers = np.asarray(storage.flatten()).tobytes().hex()
    return f"{storage.to_pylist() if not numbers else storage.is_null().to_pylist()} {numbers}"
