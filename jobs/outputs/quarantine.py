"""Rejected rows of one work item: all their columns, why they were rejected, and their row group and row."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa

from jobs.outputs.output_format import Layout, Written
from jobs.outputs.parquet import ParquetFormat, ParquetWriter
from jobs.outputs.schema_notes import agreeing
from jobs.sources.source import Batch

#: Columns that are added, with underscores appended until the source has no column of that name.
REASON, ROW_GROUP, ROW = "reason", "row_group", "row"
_ROW_GROUP_ROWS = 1024


def added_columns(schema: pa.Schema) -> tuple[str, str, str]:
    """Names of the columns for reason (string), row group and row within it (int64) beside those of `schema`."""
    reason, row_group, row = (_free(name, schema.names) for name in (REASON, ROW_GROUP, ROW))
    return reason, row_group, row


class Quarantine(ExitStack):
    """Collects rejected rows in a local Parquet file, which is made with the first of them."""

    def __init__(self, path: Path, schema: pa.Schema, vector_column: str) -> None:
        super().__init__()
        reason, row_group, row = added_columns(schema)
        added = [pa.field(reason, pa.string()), pa.field(row_group, pa.int64()), pa.field(row, pa.int64())]
        self._schema = agreeing(pa.schema([*schema, *added], schema.metadata))
        self._file = ParquetFormat().writer(path, self._schema, Layout(_ROW_GROUP_ROWS, "zstd", (vector_column,)))
        self._writer: ParquetWriter | None = None

    def add(self, batch: Batch, reasons: dict[int, str]) -> None:
        """Set aside rows of a batch: `reasons` maps a row of the batch to why."""
        if self._writer is None:
            self._writer = self.enter_context(self._file)
        for row, reason in sorted(reasons.items()):
            columns = [
                *batch.table.slice(row, 1).columns,
                pa.array([reason]),
                pa.array([batch.row_group], pa.int64()),
                pa.array([batch.first_row + row], pa.int64()),
            ]
            self._writer.write(pa.RecordBatch.from_arrays(columns, schema=self._schema))

    def finish(self) -> Written | None:
        """Complete the file; None when no row was rejected."""
        return None if self._writer is None else self._writer.finish()


def _free(name: str, taken: list[str]) -> str:
    while name in taken:
        name += "_"
    return name
