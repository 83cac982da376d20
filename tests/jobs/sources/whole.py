"""A source read as a whole, while its promises are checked."""

from __future__ import annotations

from typing import Any

from jobs.sources.source import Source


def read(source: Source, batch_rows: int = 3, columns: list[str] | None = None) -> dict[str, list[Any]]:
    """All rows, shard by shard, in the order and the numbers that `describe` promises."""
    found: dict[str, list[Any]] = {}
    for shard in source.shards():
        assert source.has(shard.key)
        info = source.describe(shard)
        groups, seen = range(len(info.row_group_rows)), 0
        for batch in source.read(shard, groups, batch_rows, columns):
            if columns is None:
                assert batch.table.schema.equals(info.schema)
            assert batch.first_row + info.row_group_starts[batch.row_group] == seen
            assert batch.table.num_rows <= batch_rows
            seen += batch.table.num_rows
            for name, values in batch.table.to_pydict().items():
                found.setdefault(name, []).extend(values)
        assert seen == info.rows == sum(info.row_group_rows)
        source.check_unchanged(shard)
    return found
