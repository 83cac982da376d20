"""Counts with their nouns, for reading: `1 work item`, `2,000 rows`."""

from __future__ import annotations


def plural(count: int, nouns: str) -> str:
    """The count and the noun, which is given in the plural: `rows`, `processes`, `runs of shards`."""
    if count == 1:
        head, of, rest = nouns.partition(" of ")
        nouns = head.removesuffix("es" if head.endswith("sses") else "s") + of + rest
    return f"{count:,} {nouns}"
