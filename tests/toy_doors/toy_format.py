"""An output format in one file: Arrow's own file format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from jobs.outputs.output_format import Layout, OutputWriter, Written, finished
from jobs.sources.source import Batch, ShardInfo
from jobs.storage.objects import Objects


class ArrowFormat:
    """Record batches one after another, uncompressed."""

    suffix = ".arrow"

    @contextmanager
    def writer(self, path: Path, schema: pa.Schema, layout: Layout) -> Iterator[OutputWriter]:
        """Start a file."""
        with pa.OSFile(str(path), "wb") as sink:
            yield _ArrowWriter(path, sink, pa.ipc.new_file(sink, schema))

    def describe(self, objects: Objects, key: str) -> ShardInfo:
        """Each record batch is a row group."""
        with objects.arrow.open_input_file(objects.path(key)) as file, pa.ipc.open_file(file) as reader:
            rows = tuple(reader.get_batch(index).num_rows for index in range(reader.num_record_batches))
            return ShardInfo(sum(rows), rows, rows, reader.schema)

    def read(
        self,
        objects: Objects,
        key: str,
        columns: Sequence[str],
        batch_rows: int,
        row_groups: Iterable[int] | None = None,
    ) -> Iterator[Batch]:
        """Record batches as they are."""
        with objects.arrow.open_input_file(objects.path(key)) as file, pa.ipc.open_file(file) as reader:
            for index in range(reader.num_record_batches) if row_groups is None else row_groups:
                yield Batch(index, 0, reader.get_batch(index).select(list(columns)))


class _ArrowWriter:
    def __init__(self, path: Path, sink: pa.NativeFile, file: pa.ipc.RecordBatchFileWriter) -> None:
        self._path, self._sink, self._file, self._rows = path, sink, file, 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows."""
        self._file.write_batch(batch)
        self._rows += batch.num_rows

    def wait(self) -> None:
        """Nothing is held."""

    def finish(self) -> Written:
        """Close the file."""
        self._file.close()
        self._sink.close()
        return finished(self._path, self._rows)
