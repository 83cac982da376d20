"""A uniform sample of the rows of a source: which rows (a pure function of seed and row counts), and reading them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from adaptor.errors import InputError
from adaptor.rows import Floats
from jobs.config.sections import SourceSection
from jobs.sources.columns import describe_vectors
from jobs.sources.ids import id_strings, id_texts
from jobs.sources.source import Shard, Source
from jobs.sources.vectors import Integers, decode

Doubles = npt.NDArray[np.float64]

#: Rows decoded at once while looking for sampled rows.
_BATCH_ROWS = 4096


def choose_rows(
    row_counts_per_row_group: Sequence[Sequence[int]], sample: int, max_row_groups: int, seed: int
) -> dict[int, Integers]:
    """Draw `sample` rows without replacement: shard index → ascending int64 row numbers within the shard.

    With at most `max_row_groups` row groups in all, every set of `sample` rows is equally likely (all rows when the
    source has no more). With more, `max_row_groups` row groups are drawn, and rows within those. Every row still has
    the same probability, but rows of one row group tend to come together, and the number of rows may differ from
    `sample` by the share of one row group, or more where many row groups are smaller than that share. A `sample` that
    these row groups do not hold comes out smaller: as whole row groups. Depends on the counts and the seed only.
    Memory: about 160 bytes per sampled row and 50 per row group.
    """
    counts = np.fromiter((rows for shard in row_counts_per_row_group for rows in shard), dtype=np.int64)
    rng = np.random.default_rng(seed)
    nonempty = np.flatnonzero(counts)
    if len(nonempty) <= max_row_groups:
        total = int(counts.sum())
        rows = np.arange(total) if sample >= total else np.sort(rng.choice(total, sample, replace=False, shuffle=False))
    else:
        group_starts = np.cumsum(counts) - counts
        taken = _two_stage_counts(counts[nonempty], sample, max_row_groups, rng)
        parts = [
            group_starts[group] + np.sort(rng.choice(counts[group], number, replace=False, shuffle=False))
            for group, number in zip(nonempty, taken, strict=True)
            if number
        ]
        rows = np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)
    starts = np.cumsum([0, *(sum(shard) for shard in row_counts_per_row_group)])
    by_shard = np.split(rows, np.searchsorted(rows, starts[1:]))
    return {shard: part - start for shard, (part, start) in enumerate(zip(by_shard, starts, strict=True)) if len(part)}


def _two_stage_counts(counts: Integers, sample: int, max_row_groups: int, rng: np.random.Generator) -> Integers:
    """Rows to take of each row group: 0 of most, such that every row has the same probability.

    A drawn group gives `share` rows (all its rows if it has fewer). Drawing groups with probability
    e = max_row_groups · max(rows, share) / Σ max(rows, share) makes e · min(share, rows) / rows the same for every row.
    Groups with e ≥ 1 are always read and give rows in proportion to their size.
    """
    share = _share(counts, sample, max_row_groups)
    sizes = np.maximum(counts, share)
    expected = max_row_groups * sizes / sizes.sum()
    rows_expected = np.minimum(counts, np.where(expected >= 1, expected * np.minimum(share, counts), share))
    # A random order keeps a period in the source (one small group at each file's end) from matching the steps.
    order = rng.permutation(len(counts))
    always = expected[order] >= 1
    drawn = always | (_systematic(np.where(always, 0.0, expected[order]), rng) > 0)
    taken = np.zeros(len(counts), dtype=np.int64)
    taken[order] = _systematic(np.where(drawn, rows_expected[order], 0.0), rng)
    return taken


def _share(counts: Integers, sample: int, max_row_groups: int) -> float:
    """Rows of one drawn group (a real number) for which `sample` rows are expected in all, by bisection."""
    total, low, high = int(counts.sum()), 0.0, float(counts.max())
    if sample >= total * max_row_groups / len(counts):
        return high
    for _ in range(80):
        middle = (low + high) / 2
        if total * max_row_groups * middle / np.maximum(counts, middle).sum() < sample:
            low = middle
        else:
            high = middle
    return high


def _systematic(expected: Doubles, rng: np.random.Generator) -> Integers:
    """Round to integers that have exactly these expectations and the same sum (± 1): one random start, equal steps."""
    steps = np.floor(np.concatenate(([0.0], np.cumsum(expected))) + rng.random()).astype(np.int64)
    return np.diff(steps)


def read_rows(
    source: Source,
    shard: Shard,
    section: SourceSection,
    rows: Integers,
    dim: int | None = None,
    *,
    plain: bool = False,
) -> tuple[list[str], Floats, dict[int, str]]:
    """Read rows of one shard by their ascending numbers: ids, vectors (n, d) float32, position → why unusable.

    Ids are texts, "None" where null. `dim` None takes the most common length among these rows. Only row groups with
    such rows are read; `plain` is that of `Source.read`. `InputError` for a damaged shard and a row beyond its end.
    """
    info = describe_vectors(source, shard, section)
    if len(rows) and not 0 <= rows[0] <= rows[-1] < info.rows:
        raise InputError(f"{source.uri}: {shard.key} has {info.rows} rows, row {rows[-1]} was asked: it has changed")
    columns = [section.id_column, section.vector_column]
    ids: list[str] = []
    vectors: list[pa.Array] = []
    for batch in source.read(shard, info.row_groups_of(rows), _BATCH_ROWS, columns, plain=plain):
        chosen = pa.array(info.rows_within(batch, rows))
        if len(chosen):
            ids += map(str, id_strings(id_texts(batch.table.column(section.id_column)).take(chosen)))
            vectors.append(batch.table.column(section.vector_column).take(chosen))
    if not ids:
        return [], np.zeros((0, dim or 0), dtype=np.float32), {}
    decoded = decode(pa.chunked_array(vectors), dim)
    return ids, decoded.vectors, decoded.reasons
