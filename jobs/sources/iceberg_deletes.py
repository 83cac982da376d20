"""Rows of an Iceberg file that position deletes or a deletion vector mark."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from adaptor.errors import InputError
from jobs.sources.vectors import Integers

if TYPE_CHECKING:
    from pyiceberg.io import FileIO
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import FileScanTask


def deleted_rows(io: FileIO, task: FileScanTask) -> Integers:
    """Numbers of the deleted rows of a task's file, int64 (n,) ascending, each once."""
    path = task.file.file_path
    parts = [_rows_in(io, delete, path) for delete in sorted(task.delete_files, key=lambda file: file.file_path)]
    return np.unique(np.concatenate([np.empty(0, np.int64), *parts]))


def _rows_in(io: FileIO, delete: DataFile, path: str) -> Integers:
    """The rows of the file at `path` that one delete file names."""
    kind = delete.file_format.value
    with io.new_input(delete.file_path).open() as stream:
        if kind == "PARQUET":
            table = pq.read_table(stream, columns=["file_path", "pos"])
            rows = table.filter(pc.equal(table.column("file_path"), path)).column("pos")
            return np.asarray(rows.to_numpy(), np.int64)
        if kind == "PUFFIN":
            from pyiceberg.table.deletion_vector import deletion_vectors_from_puffin_file
            from pyiceberg.table.puffin import PuffinFile

            vectors = deletion_vectors_from_puffin_file(PuffinFile(stream.read()))
            found = [vector.to_vector().to_numpy() for vector in vectors if vector.referenced_data_file == path]
            return np.concatenate([np.empty(0, np.int64), *found]).astype(np.int64)
    raise InputError(
        f"{delete.file_path}: deletes of the format {kind} are not applied: compact the table first "
        "(rewrite_data_files with delete-file-threshold 1)"
    )
