"""The dimension of a source, before it is read."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from adaptor.errors import InputError
from jobs.config.sections import SourceSection
from jobs.sources.parquet import Footer, Shard
from jobs.sources.vectors import decode, read_batches
from jobs.storage.open import open_objects


def dimension(source: SourceSection, shards: Sequence[Shard], footers: Sequence[Footer]) -> int:
    """The source's dimension d: that of the column type, or the most common length in the first rows of the first
    shard."""
    objects = open_objects(source.uri, source.filesystem)
    for shard, footer in zip(shards, footers, strict=True):
        kind = footer.schema.field(source.vector_column).type
        if pa.types.is_fixed_size_list(kind):
            return int(kind.list_size)
        groups = range(len(footer.row_group_rows))
        # Not directly: this is the driver, and pyarrow ends the process when asked for damaged metadata.
        for batch in read_batches(objects, shard, groups, 1024, [source.vector_column], direct=False):
            dim = decode(batch.table.column(source.vector_column), None).vectors.shape[1]
            if dim:
                return int(dim)
    raise InputError(
        f"source {source.uri} holds no row with a vector in column {source.vector_column!r}: check source.uri and "
        "source.vector_column"
    )
