"""One work item, from its row groups to its record: read → shorten → write, then the commit.

Vectors never leave the process: a worker is told what to do in a few strings, opens source, output and artefact itself,
and answers with a record.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pyarrow as pa

from adaptor.errors import InputError
from jobs.adaptors import open_adaptor
from jobs.commits.commit import ScratchFile, commit_item
from jobs.commits.failures import Tried, note_attempts
from jobs.commits.ledger import Record, read_record
from jobs.commits.output_version import describe, open_output_version, stamps
from jobs.commits.work_items import WorkItem
from jobs.compress.memory import Memory
from jobs.compress.row_transform import aligned, open_shortener
from jobs.config.commands import CompressConfig
from jobs.outputs.parquet import Layout, ShardWriter, Written, clipped, short_array, short_field, short_schema
from jobs.outputs.quarantine import Quarantine
from jobs.runtime.read_ahead import read_ahead
from jobs.runtime.scratch import scratch_folder
from jobs.runtime.summary import versions
from jobs.sources.fast_parquet.memory import BATCHES
from jobs.sources.fingerprints import IdCounter
from jobs.sources.ids import id_strings, unusable_ids
from jobs.sources.parquet import Footer, read_footer
from jobs.sources.vectors import Batch, read_batches
from jobs.storage.open import open_objects

LOGGER = logging.getLogger(__name__)


class ShardCompressor:
    """Everything that one worker needs, opened from the configuration: source, output version, adaptor."""

    def __init__(self, config: CompressConfig, memory: Memory | None = None) -> None:
        self._config = config
        self._memory = memory or Memory()
        self._source = open_objects(config.source.uri, config.source.filesystem)
        output, dim = config.output, config.output.dim
        adaptor = open_adaptor(config.adaptor, config.source)
        self._output_version = open_output_version(output, adaptor, dim)
        self._description = describe(config.source, adaptor, dim, output)
        self._shorten = open_shortener(adaptor, dim, config.cluster.gpus_per_worker > 0)
        self._layout = Layout(output.row_group_rows, output.compression, config.source.vector_column, True)
        self._versions = versions()
        #: Whether to take the least memory: the attempt before may have run out of it, or this one is about to.
        self.low_memory = False
        #: Called after each batch.
        self.on_batch: Callable[[], None] = lambda: None
        #: Seconds by phase of the item that was done last.
        self.seconds: dict[str, float] = {}

    def compress(self, item: WorkItem) -> Record:
        """Do one work item and commit it; while `low_memory`, with the least memory that gives the same bytes.

        Raises `InputError` for data that stops the job, `RunError` for outages.
        """
        if self.low_memory:
            BATCHES.clear()
        column, encoding = self._config.source.vector_column, self._config.output.encoding
        footer = read_footer(self._source, item.shard, self._config.source)
        short = short_field(footer.schema.field(column), self._config.output.dim, encoding)
        stamped = stamps(self._description, item.shard.key, item.shard.version)
        schema = short_schema(footer.schema, column, short, stamped)
        groups = self._row_groups(item, footer)
        ids, values_clipped = IdCounter(), 0
        began = time.monotonic()
        with (
            scratch_folder() as folder,
            ShardWriter(folder / "output", schema, self._layout) as writer,
            Quarantine(folder / "rejected", footer.schema, column) as quarantine,
        ):
            # After a crash by pyarrow alone: it gives errors where it would end the process, asked for metadata.
            batches = read_batches(self._source, item.shard, groups, self._batch_rows, direct=not self.low_memory)
            for batch in read_ahead(batches):
                vectors, reasons = self._shorten(batch.table.column(column))
                reasons = self._rejected_rows(item, batch, reasons)
                if reasons:
                    quarantine.add(batch, reasons)
                values_clipped += clipped(np.delete(vectors, list(reasons), axis=0) if reasons else vectors, encoding)
                for good in _usable(
                    _with_vectors(batch.table, schema, column, short_array(vectors, encoding)), reasons
                ):
                    ids.add(good.column(self._config.source.id_column))
                    writer.write(good)
                if self.low_memory:
                    writer.wait()
                self.on_batch()
            output, rejected = writer.finish(), quarantine.finish()
            record = self._record(item, output, rejected, ids.doubled(), values_clipped)
            written = time.monotonic()
            commit_item(
                (self._source, self._output_version),
                item,
                ScratchFile(folder / "output", output),
                None if rejected is None else ScratchFile(folder / "rejected", rejected),
                record,
            )
            self.seconds = {"shorten": written - began, "commit": time.monotonic() - written}
            return record

    def _batch_rows(self) -> int:
        """Rows to read next. Once memory is scarce, the fewest until the item is done."""
        if not self.low_memory and self._memory.scarce():
            LOGGER.warning("memory is scarce: smaller batches from here on")
            self.low_memory = True
            BATCHES.clear()
        return aligned(1 if self.low_memory else self._config.reading.batch_rows)

    def note(self, item: WorkItem, tried: Tried) -> None:
        """Have later runs know of this attempt and those before it, should the driver die too."""
        note_attempts(self._output_version, item.record, tried)

    def committed(self, item: WorkItem, in_this_run: bool = False) -> Record | None:
        """The record of this work item, when another attempt has already finished it; one that the plan does not rely
        on only when it is of `in_this_run`."""
        name = item.record
        if (name.key in item.stale_records and not in_this_run) or self._output_version.stat(name.key) is None:
            return None
        return read_record(self._output_version, name)

    def _row_groups(self, item: WorkItem, footer: Footer) -> range:
        total, run = len(footer.row_group_rows), item.row_groups
        if run is None:
            return range(total)
        if run.total != total:
            raise InputError(
                f"{self._source.uri}: {item.shard.key} has {total} row groups, {run.total} were planned: "
                "it changed, run the command again"
            )
        return range(run.start, run.stop)

    def _rejected_rows(self, item: WorkItem, batch: Batch, reasons: dict[int, str]) -> dict[int, str]:
        """All reasons of a batch, unusable ids included; ends the job when bad rows are to stop it."""
        ids = batch.table.column(self._config.source.id_column)
        reasons = reasons | unusable_ids(ids)
        if reasons and self._config.reading.bad_rows == "stop":
            row = min(reasons)
            (name,) = id_strings(ids[row : row + 1])
            raise InputError(
                f"{self._source.uri}: {item.shard.key}, row group {batch.row_group}, row {batch.first_row + row} "
                f"(id {name!r}): {reasons[row]}; repair the row, or set reading.bad_rows: quarantine"
            )
        return reasons

    def _record(
        self, item: WorkItem, output: Written, rejected: Written | None, doubled_ids: int | None, values_clipped: int
    ) -> Record:
        rows_quarantined = 0 if rejected is None else rejected.rows
        return Record(
            shard=item.shard.key,
            size=item.shard.size,
            version=item.shard.version,
            row_groups=item.row_groups,
            rows_in=output.rows + rows_quarantined,
            rows_out=output.rows,
            rows_quarantined=rows_quarantined,
            duplicate_ids=doubled_ids,
            output=item.output,
            output_bytes=output.bytes,
            sha256=output.sha256,
            quarantine=None if rejected is None else item.quarantine,
            quarantine_sha256=None if rejected is None else rejected.sha256,
            adaptor_id=str(self._description["adaptor_id"]),
            dim=self._config.output.dim,
            encoding=self._config.output.encoding,
            versions=self._versions,
            values_clipped=values_clipped,
        )


def _with_vectors(table: pa.RecordBatch, schema: pa.Schema, column: str, vectors: pa.Array) -> pa.RecordBatch:
    """The batch with the vector column replaced, all others untouched."""
    columns = [vectors if name == column else table.column(index) for index, name in enumerate(schema.names)]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _usable(table: pa.RecordBatch, reasons: Iterable[int]) -> Iterator[pa.RecordBatch]:
    """The stretches of the batch between its rejected rows. Slices, as Arrow cannot filter every type of payload."""
    start = 0
    for row in (*sorted(reasons), table.num_rows):
        if row > start:
            yield table.slice(start, row - start)
        start = row + 1
