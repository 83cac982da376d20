"""Rows spilled to local files by a hash of their id, so that any number of rows is compared in little memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa

from adaptor.errors import InputError, RunError
from jobs.sources.fingerprints import fingerprints

#: Bytes of rows that are compared at a time, about.
BUCKET_BYTES = 32 << 20
#: Buckets of a round: each has two open files. More of them are made in more rounds, each of which reads all again.
ROUND_BUCKETS = 128
#: A bucket that grows to so many bytes, as repeated texts do once they are decoded, ends the feed.
_MOST_BYTES = 512 << 20


def rounds(total_bytes: int) -> Iterator[tuple[range, int]]:
    """For files of so many bytes: the buckets of each round, and how many buckets there are in all."""
    count = max(1, -(-total_bytes // BUCKET_BYTES))
    for first in range(0, count, ROUND_BUCKETS):
        yield range(first, min(first + ROUND_BUCKETS, count)), count


class Buckets(ExitStack):
    """The rows of one round, `old` and `new` apart. Use it as a context manager; read once all rows are added."""

    def __init__(self, folder: Path, schema: pa.Schema, buckets: range, count: int) -> None:
        super().__init__()
        self._folder, self._schema, self.numbers, self._count = folder, schema, buckets, count
        self._writers: dict[Path, pa.RecordBatchStreamWriter] = {}
        self._bytes: Counter[Path] = Counter()

    def add(self, side: str, batch: pa.RecordBatch, ids: pa.Array) -> None:
        """Spill the rows of this round. Raises RunError when the scratch disk is full, InputError when the rows of a
        bucket do not go into memory."""
        bucket = fingerprints(ids) % np.uint64(self._count)
        order = np.argsort(bucket, kind="stable")
        edges = np.searchsorted(bucket[order], np.arange(self.numbers.start, self.numbers.stop + 1, dtype=np.uint64))
        try:
            for number, start, stop in zip(self.numbers, edges[:-1], edges[1:], strict=True):
                if start < stop:
                    self._spill(self._path(side, number), batch.take(pa.array(order[start:stop])))
        except OSError as problem:
            raise RunError(
                f"the scratch disk could not take the changed rows ({problem}): free space there, set TMPDIR, or set "
                "output.keep_sequences: 1"
            ) from problem

    def read(self, side: str, number: int) -> pa.RecordBatch:
        """The rows of a bucket, in the order in which they came."""
        path = self._path(side, number)
        if path not in self._writers:
            return pa.RecordBatch.from_pylist([], schema=self._schema)
        self._writers.pop(path).close()
        with pa.OSFile(str(path)) as file:
            table = pa.ipc.open_stream(file).read_all()
        path.unlink()
        return pa.concat_batches(table.to_batches())

    def _spill(self, path: Path, rows: pa.RecordBatch) -> None:
        if path not in self._writers:
            file = self.enter_context(pa.OSFile(str(path), "wb"))
            self._writers[path] = self.enter_context(pa.ipc.new_stream(file, self._schema))
        self._bytes[path] += rows.nbytes
        if self._bytes[path] > _MOST_BYTES:
            raise InputError(f"the changed rows take more than {_MOST_BYTES >> 20} MB where few were expected")
        self._writers[path].write_batch(rows)

    def _path(self, side: str, number: int) -> Path:
        return self._folder / f"{side}-{number}"
