"""Comparing streams of batches that are cut differently."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.sources.ids import id_strings


def first_difference(
    source: Iterator[pa.Array], output: Iterator[pa.Array]
) -> tuple[int, str | None, str | None] | None:
    """Where two streams of texts, cut differently, differ first: row, text of each (None: it has ended); or None."""
    left, right = (_refilled(pa.array([], pa.large_string()), stream) for stream in (source, output))
    row = 0
    while (count := min(len(left), len(right))) and left[:count].equals(right[:count]):
        row += count
        left, right = _refilled(left[count:], source), _refilled(right[count:], output)
    if count:
        same = pc.fill_null(pc.equal(left[:count], right[:count]), False).to_numpy(zero_copy_only=False)
        first = int(np.argmin(same))
        row, left, right = row + first, left[first:], right[first:]
    elif not len(left) and not len(right):
        return None
    source_text, output_text = (id_strings(part[:1])[0] if len(part) else None for part in (left, right))
    return row, source_text, output_text


def _refilled(part: pa.Array, stream: Iterator[pa.Array]) -> pa.Array:
    return part if len(part) else next((batch for batch in stream if len(batch)), part)
