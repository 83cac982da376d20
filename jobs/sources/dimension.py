"""The dimension of a store, before it is read."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from adaptor.errors import InputError
from jobs.config.sections import StoreSection
from jobs.sources.parquet import Footer, Shard
from jobs.sources.vectors import decode, read_batches
from jobs.storage.open import open_objects


def dimension(store: StoreSection, shards: Sequence[Shard], footers: Sequence[Footer]) -> int:
    """The store's dimension d: that of the column type, or the most common length in the first rows of the first
    shard."""
    objects = open_objects(store.uri, store.filesystem)
    for shard, footer in zip(shards, footers, strict=True):
        kind = footer.schema.field(store.vector_column).type
        if pa.types.is_fixed_size_list(kind):
            return int(kind.list_size)
        groups = range(len(footer.row_group_rows))
        # Not directly: this is the driver, and pyarrow ends the process when asked for damaged metadata.
        for batch in read_batches(objects, shard, groups, 1024, [store.vector_column], direct=False):
            width = decode(batch.table.column(store.vector_column), None).vectors.shape[1]
            if width:
                return int(width)
    raise InputError(
        f"store {store.uri} holds no row with a vector in column {store.vector_column!r}: check store.uri and "
        "store.vector_column"
    )
