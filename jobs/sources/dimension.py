"""The dimension of a source, before it is read."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from adaptor.errors import InputError
from jobs.config.sections import SourceSection
from jobs.sources.source import Shard, ShardInfo, Source
from jobs.sources.vectors import decode


def dimension(source: Source, section: SourceSection, shards: Sequence[Shard], described: Sequence[ShardInfo]) -> int:
    """The source's dimension d: that of the column type, or the most common length in the first rows of the first
    shard that has any."""
    for shard, info in zip(shards, described, strict=True):
        kind = info.schema.field(section.vector_column).type
        if pa.types.is_fixed_size_list(kind):
            return int(kind.list_size)
        groups = range(len(info.row_group_rows))
        # Plainly: this is the driver, and a damaged file may end a process that reads it the fast way.
        for batch in source.read(shard, groups, 1024, [section.vector_column], plain=True):
            length = decode(batch.table.column(section.vector_column), None).vectors.shape[1]
            if length:
                return int(length)
    raise InputError(
        f"source {section.uri} holds no row with a vector in column {section.vector_column!r}: check source.uri and "
        "source.vector_column"
    )
