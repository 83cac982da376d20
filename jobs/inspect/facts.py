"""All that is found out about a source, as it stands in the JSON."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from adaptor.rows import Floats
from jobs.config.sections import SourceSection
from jobs.inspect.geometry import lengths_of, odd_dimensions, off_centre, spectrum
from jobs.inspect.look import Look
from jobs.inspect.trial import trial
from jobs.inspect.two_spaces import two_spaces
from jobs.sources.ids import id_type_name
from jobs.sources.source import Source

#: Names of columns and problems that are listed.
_LISTED = 50


def facts(source: Source, section: SourceSection, look: Look) -> dict[str, Any]:
    """What the source is, what it holds, and which dims and encodings are worth trying."""
    vectors = look.vectors
    found: dict[str, Any] = {
        "source": source.uri,
        "format": section.format,
        "snapshot": source.snapshot(),
        "metric": section.metric,
        "shards": len(look.shards),
        "bytes": sum(shard.size for shard in look.shards),
        "rows": look.estimated_rows(),
        "rows_are_exact": len(look.described) == len(look.shards),
        "dim": look.dim,
        "columns": {column.name: str(column.type) for column in list(look.schema)[:_LISTED]},
        "notes": source.notes(),
        "looked_at": {"shards": len(look.described), "rows": look.rows_seen},
        "unreadable_shards": look.unreadable[:_LISTED],
        "unusable_vectors": dict(look.unusable.most_common(_LISTED)),
        "ids": {"type": id_type_name(look.schema.field(section.id_column).type), **_ids(look.ids)},
    }
    if not len(vectors):
        return found
    found |= {
        "lengths": lengths_of(vectors),
        "dimensions": odd_dimensions(vectors),
        "equal_vectors": _equal(vectors),
        "off_centre": off_centre(vectors),
        "two_spaces": asdict(two_spaces(vectors)),
        "spectrum": spectrum(vectors, section.metric),
    }
    tried = trial(_unordered(vectors), section.metric)
    return found | {"trial": None if tried is None else asdict(tried)}


def _ids(ids: Sequence[str | None]) -> dict[str, int]:
    """Nulls, rows whose id came before, and ids that another one differs from by case or blanks only."""
    names = [name for name in ids if name is not None]
    alike = Counter("".join(name.casefold().split()) for name in set(names))
    return {
        "null": len(ids) - len(names),
        "doubled": len(names) - len(set(names)),
        "nearly_doubled": sum(count - 1 for count in alike.values()),
    }


def _equal(vectors: Floats) -> int:
    """Rows whose vector came before."""
    return len(vectors) - len({hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in vectors})


def _unordered(vectors: Floats) -> Floats:
    """The rows in a random order: those of one shard come together, and the first ones are the queries."""
    return vectors[np.random.default_rng(0).permutation(len(vectors))]
