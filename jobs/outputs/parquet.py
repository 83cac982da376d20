"""Parquet output: batches stream into a local scratch file while the caller works on, then it is published whole.

Row groups are cut by row count, whatever the batches were, so the bytes depend on rows, schema and layout only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from adaptor.errors import RunError
from jobs.outputs.output_format import Layout, Written, finished
from jobs.sources import parquet_reader
from jobs.sources.source import Batch, ShardInfo
from jobs.storage.objects import Objects


class ParquetFormat:
    """An `OutputFormat`."""

    suffix = ".parquet"

    def writer(self, path: Path, schema: pa.Schema, layout: Layout) -> ParquetWriter:
        """Start a file at `path`."""
        return ParquetWriter(path, schema, layout)

    def describe(self, objects: Objects, key: str) -> ShardInfo:
        """What the footer says."""
        return parquet_reader.read_footer(objects, key)

    def read(
        self,
        objects: Objects,
        key: str,
        columns: Sequence[str],
        batch_rows: int,
        row_groups: Iterable[int] | None = None,
    ) -> Iterator[Batch]:
        """Stream the columns of a file."""
        groups = range(len(self.describe(objects, key).row_group_rows)) if row_groups is None else row_groups
        return parquet_reader.read_batches(objects, key, groups, batch_rows, columns)


class ParquetWriter:
    """Writes record batches of one schema to a local Parquet file; an `OutputWriter` and a context manager.

    A thread encodes one row group while the caller fills the next, so two row groups are held at most.
    """

    def __init__(self, path: Path, schema: pa.Schema, layout: Layout) -> None:
        self._path, self._schema, self._layout = path, schema, layout
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = self._rows = 0
        self._encoding: Future[None] | None = None

    def __enter__(self) -> Self:
        """Create the file."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="write-behind")
        payload = _payload_leaves(self._schema, self._layout.vector_column) or False
        with _scratch_errors(self._path):
            self._file: Any = pq.ParquetWriter(
                str(self._path),
                self._schema,
                compression=self._layout.compression,
                use_dictionary=payload,
                write_statistics=payload,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, _: TracebackType | None
    ) -> None:
        """Stop the thread and close the file, finished or not."""
        self._thread.shutdown(wait=True)
        try:
            self._file.close()
        except OSError:
            if kind is None:  # otherwise the first problem is the one to tell
                raise

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows; full row groups go to the thread."""
        start = 0
        while start < batch.num_rows:
            take = min(batch.num_rows - start, self._layout.row_group_rows - self._waiting_rows)
            self._waiting.append(batch.slice(start, take))
            self._waiting_rows += take
            start += take
            if self._waiting_rows == self._layout.row_group_rows:
                self._encode()

    def finish(self) -> Written:
        """Write what is left and the footer. Raises `RunError` when the scratch disk is full."""
        if self._waiting_rows:
            self._encode()
        self.wait()
        with _scratch_errors(self._path):
            self._file.close()
        return finished(self._path, self._rows)

    def wait(self) -> None:
        """Wait until what was handed to the thread is encoded: one row group is held then, not two."""
        if self._encoding is not None:
            with _scratch_errors(self._path):
                self._encoding.result()
            self._encoding = None

    def _encode(self) -> None:
        self.wait()
        table = pa.Table.from_batches(self._waiting, self._schema).unify_dictionaries()
        self._encoding = self._thread.submit(self._file.write_table, table, max(1, len(table)))
        self._rows += self._waiting_rows
        self._waiting, self._waiting_rows = [], 0


def _payload_leaves(schema: pa.Schema, vector_column: str) -> list[str]:
    """Parquet paths of all leaf columns but those of the vector column, taken from an empty file of this schema."""
    sink = pa.BufferOutputStream()
    pq.ParquetWriter(sink, schema).close()
    parquet = pq.ParquetFile(pa.BufferReader(sink.getvalue())).schema
    paths = [parquet.column(index).path for index in range(len(parquet))]
    return [path for path in paths if path != vector_column and not path.startswith(f"{vector_column}.")]


@contextmanager
def _scratch_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise RunError(
            f"scratch file {path} could not be written ({problem}): free space there or set TMPDIR"
        ) from problem
