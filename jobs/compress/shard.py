"""One work item, from its row groups to its record: read → transform → encode → write, then the commit."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from adaptor.errors import InputError
from adaptor.rows import Floats
from jobs.commits.commit import FinishedItem, commit_item
from jobs.commits.context import JobContext
from jobs.commits.ledger import LedgerRecord
from jobs.commits.names import row_group_range
from jobs.commits.work_items import WorkItem
from jobs.compress.drift import RowsForDrift
from jobs.compress.memory import Limit, memory_limits, scarce
from jobs.compress.row_transform import aligned, open_row_transform
from jobs.config.compress import CompressConfig
from jobs.outputs.output_format import Layout, Written
from jobs.outputs.quarantine import Quarantine
from jobs.runtime.read_ahead import read_ahead
from jobs.runtime.scratch import scratch_folder
from jobs.runtime.summary import versions
from jobs.sources.columns import describe_vectors
from jobs.sources.fingerprints import IdCounter
from jobs.sources.ids import id_strings, unusable_ids
from jobs.sources.source import Batch, ShardInfo

LOGGER = logging.getLogger(__name__)


class ShardCompressor:
    """Compresses work items, one after another."""

    def __init__(self, config: CompressConfig, limits: Sequence[Limit] | None = None) -> None:
        self.context = context = JobContext.open(config)
        self._config = config
        self._limits = memory_limits() if limits is None else limits
        projections = [column.encoding.projection for column in context.vector_columns]
        self._transform = open_row_transform(context.adaptor, projections, config.cluster.gpus_per_worker > 0)
        names = tuple(column.name for column in context.vector_columns)
        self._layout = Layout(config.output.row_group_rows, config.output.compression, names)
        self._versions = versions()
        #: Whether to take the least memory that gives the same bytes: an attempt has run out of it, or is about to.
        self.low_memory = False
        #: Called after each batch.
        self.on_batch: Callable[[], None] = lambda: None
        #: Seconds by phase of the item that was done last.
        self.seconds: dict[str, float] = {}

    def compress(self, item: WorkItem) -> LedgerRecord:
        """Do one work item and commit it. Raises `InputError` for data that stops the job, `RunError` for outages."""
        info = describe_vectors(self.context.source, item.shard, self._config.source)
        began = time.monotonic()
        with scratch_folder() as folder:
            finished = self._write(item, info, folder)
            written = time.monotonic()
            commit_item(self.context.source, self.context.output_version, finished)
        self.seconds = {"transform": written - began, "commit": time.monotonic() - written}
        return finished.record

    def _write(self, item: WorkItem, info: ShardInfo, folder: Path) -> FinishedItem:
        """The files of a work item in the scratch `folder`, and the record of them."""
        context, column = self.context, self._config.source.vector_column
        schema = context.output_schema(info.schema, context.stamps(item.shard))
        ids, values_clipped = IdCounter(), 0
        looked_at = RowsForDrift(context.adaptor, info, item.row_groups)
        with (
            context.output_format.writer(folder / "output", schema, self._layout) as writer,
            Quarantine(folder / "rejected", info.schema, column) as quarantine,
        ):
            for batch in self._batches(item, info):
                outputs, unusable = self._transform(batch.table.column(column))
                reasons = self._reasons(item, batch, unusable)
                if reasons:
                    quarantine.add(batch, reasons)
                values_clipped += self._clipped(outputs, reasons)
                looked_at.add(batch, batch.table.column(column), reasons)
                for rows in _usable(self._encoded(batch, outputs, schema), reasons):
                    ids.add(rows.column(self._config.source.id_column))
                    writer.write(rows)
                if self.low_memory:
                    writer.wait()
                self.on_batch()
            output, rejected = writer.finish(), quarantine.finish()
        record = self._record(item, output, rejected)
        record = replace(record, duplicate_ids=ids.doubled(), values_clipped=values_clipped, drift=looked_at.sample())
        return FinishedItem(item, output, rejected, record)

    def _encoded(self, batch: Batch, outputs: Sequence[Floats], schema: pa.Schema) -> pa.RecordBatch:
        """The batch with short vectors in place of the long ones, and the other columns of short ones behind."""
        stored = zip(self.context.vector_columns, outputs, strict=True)
        first, *added = (column.encoding.encode(vectors) for column, vectors in stored)
        columns = batch.table.columns
        columns[schema.get_field_index(self._config.source.vector_column)] = first
        return pa.RecordBatch.from_arrays([*columns, *added], schema=schema)

    def _clipped(self, outputs: Sequence[Floats], reasons: Iterable[int]) -> int:
        """Numbers of usable rows that the encodings cannot hold."""
        rejected = list(reasons)
        return sum(
            column.encoding.saturated(np.delete(vectors, rejected, axis=0) if rejected else vectors)
            for column, vectors in zip(self.context.vector_columns, outputs, strict=True)
        )

    def _batches(self, item: WorkItem, info: ShardInfo) -> Iterator[Batch]:
        """The rows of the item. After a crash plainly: that gives errors where the fast way may end the process."""
        source = self.context.source
        row_groups = row_group_range(item.row_groups, len(info.row_group_rows), f"{source.uri}: {item.shard.key}")
        return read_ahead(source.read(item.shard, row_groups, self._batch_rows, plain=self.low_memory))

    def _batch_rows(self) -> int:
        """Rows to read next. Once memory is scarce, the fewest until the item is done."""
        if not self.low_memory and scarce(self._limits):
            LOGGER.warning("memory is scarce: smaller batches from here on")
            self.low_memory = True
        return aligned(1 if self.low_memory else self._config.reading.batch_rows)

    def _reasons(self, item: WorkItem, batch: Batch, unusable_vectors: dict[int, str]) -> dict[int, str]:
        """Why rows of a batch are rejected, unusable ids included; ends the job when bad rows are to stop it."""
        ids = batch.table.column(self._config.source.id_column)
        reasons = unusable_vectors | unusable_ids(ids)
        if reasons and self._config.reading.bad_rows == "stop":
            row = min(reasons)
            (name,) = id_strings(ids[row : row + 1])
            raise InputError(
                f"{self.context.source.uri}: {item.shard.key}, row group {batch.row_group}, "
                f"row {batch.first_row + row} (id {name!r}): {reasons[row]}; "
                "repair the row, or set reading.bad_rows: quarantine"
            )
        return reasons

    def _record(self, item: WorkItem, output: Written, rejected: Written | None) -> LedgerRecord:
        rows_quarantined = 0 if rejected is None else rejected.rows
        return LedgerRecord(
            shard=item.shard.key,
            size=item.shard.size,
            version=item.shard.version,
            row_groups=item.row_groups,
            rows_in=output.rows + rows_quarantined,
            rows_out=output.rows,
            rows_quarantined=rows_quarantined,
            duplicate_ids=None,
            output=item.output,
            output_bytes=output.bytes,
            sha256=output.sha256,
            quarantine=None if rejected is None else item.quarantine,
            quarantine_sha256=None if rejected is None else rejected.sha256,
            adaptor_id=self.context.adaptor.adaptor_id,
            dim=self._config.output.dim,
            encoding=self._config.output.encoding,
            versions=self._versions,
        )


def _usable(table: pa.RecordBatch, reasons: Iterable[int]) -> Iterator[pa.RecordBatch]:
    """The stretches of the batch between its rejected rows. Slices, as Arrow cannot filter every type of payload."""
    start = 0
    for row in (*sorted(reasons), table.num_rows):
        if row > start:
            yield table.slice(start, row - start)
        start = row + 1
