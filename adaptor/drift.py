"""Whether rows are like those that an adaptor was fitted on: of the same space, and of the same kind.

Vectors of one model lie mostly along the leading PCA axes of any sample of it, whatever they are about: rows on other
topics keep 0.74 to 0.86 of their squares where the fit's own rows keep 0.9. In another space (another model, another
version, a rotated copy) a row keeps only what chance gives, about the share of the axes. So a single row tells.

Another topic shows in many rows: axes of their own would keep more of them than the fit's axes do, and neighbours are
kept worse than among the fit's own rows. tests/benchmarks/drift.py measures both on real sets: shards that a fit did
not see, other sets of the same model, rotated shards.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from adaptor.artefact import Adaptor
from adaptor.quality import overlap_at_k, similarities
from adaptor.rows import Floats, unit_rows

#: Rows that are compared at a time; so many of a shard are looked at.
SAMPLE_ROWS = 256
#: The leading axes that hold this share of the squares of the fit's own rows.
_HELD = 0.9
#: A row that keeps less than this way from chance to the fit's own rows is of another space.
_APART = 0.25
#: Largest share of the fit's own rows below that limit. Where more are, the space cannot be told by a row: so it is for
#: vectors that have no leading axes.
_MOST_APART = 0.01
#: Dims of the axes that a sample is given of its own, at most: many fewer than its rows.
_MOST_DIMS = 64
_FEWEST_ROWS = 64
#: Another topic: axes of their own keep so much more of the squares, and the adaptor so much less of the neighbours.
_GAIN, _WORSE = 0.05, 0.03
_NEAREST = 10


@dataclass(frozen=True)
class DriftSample:
    """What some rows of a shard say. `apart` of the `rows` are of another space (0 where that cannot be told). `lost`
    is the share of their squares that axes of their own would keep beyond what the fit's keep, `overlap` their
    overlap@10 among each other; both None of few rows."""

    rows: int
    apart: int
    lost: float | None
    overlap: float | None


def drift_reference(adaptor: Adaptor, held_out: Floats) -> dict[str, Any]:
    """What rows of the fit's own source say, for the document: held-out rows (h, d), which training never saw."""
    rows = unit_rows(held_out)
    spectrum = np.square(rows @ adaptor.rotation).sum(axis=0, dtype=np.float64)
    axes = int(np.searchsorted(np.cumsum(spectrum), _HELD * spectrum.sum())) + 1
    kept, chance = _kept(rows, adaptor.rotation, axes), axes / adaptor.input_dim
    least = chance + _APART * (float(kept.mean()) - chance)
    told = len(rows) >= _FEWEST_ROWS and float(np.mean(kept < least)) <= _MOST_APART and least > chance
    number = min(SAMPLE_ROWS, len(rows))
    dims = [dim for dim in adaptor.dims if dim <= min(_MOST_DIMS, number // 4)]
    reference = {"axes": axes, "least_kept": round(least, 4) if told else None, "rows": number, "dim": None}
    if number < _FEWEST_ROWS or not dims:
        return reference
    reference["dim"] = dims[-1]
    parts = [held_out[start : start + number] for start in range(0, len(rows) - number + 1, number)]
    lost = float(np.mean([_lost(unit_rows(part), adaptor.rotation, dims[-1]) for part in parts]))
    overlap = float(np.mean([_overlap(adaptor, part, dims[-1]) for part in parts]))
    return reference | {"lost": round(lost, 4), "overlap@10": round(overlap, 4)}


def drift_sample(adaptor: Adaptor, vectors: Floats) -> DriftSample | None:
    """Compare rows (n, d), evenly spaced in their shard and without unusable ones, with the artefact's reference. None
    of an artefact that has none, and of no rows."""
    reference = adaptor.document.get("drift")
    if not reference or not len(vectors):
        return None
    rows = unit_rows(vectors)
    least, apart, lost, overlap = reference["least_kept"], 0, None, None
    if least is not None:
        apart = int(np.count_nonzero(_kept(rows, adaptor.rotation, reference["axes"]) < least))
    if reference["dim"] is not None and len(rows) >= reference["rows"]:
        some = slice(0, reference["rows"])
        lost = round(float(_lost(rows[some], adaptor.rotation, reference["dim"])), 4)
        overlap = round(_overlap(adaptor, vectors[some], reference["dim"]), 4)
    return DriftSample(len(rows), apart, lost, overlap)


def of_another_space(samples: Iterable[DriftSample]) -> bool:
    """Whether rows of another space are among those of a shard: three and 5% of them, or all of fewer."""
    samples = list(samples)
    rows, apart = sum(one.rows for one in samples), sum(one.apart for one in samples)
    return rows > 0 and apart >= max(min(3, rows), 0.05 * rows)


def of_another_topic(adaptor: Adaptor, samples: Iterable[DriftSample]) -> bool:
    """Whether neighbours in a shard are kept worse than promised, and a fit on such rows would keep more of them. Rows
    may also be harder by nature (worse kept, with nothing to gain), or a part of what the fit knew (the reverse)."""
    pairs = [(one.lost, one.overlap) for one in samples if one.lost is not None and one.overlap is not None]
    if not pairs:
        return False
    promised = adaptor.document["drift"]
    lost, overlap = np.mean(pairs, axis=0)
    return bool(lost > promised["lost"] + _GAIN and overlap < promised["overlap@10"] - _WORSE)


def _kept(rows: Floats, rotation: Floats, axes: int) -> npt.NDArray[np.float64]:
    """Share of the squares of each unit row that the leading axes keep, float64 (n,)."""
    return np.asarray(np.square(rows @ rotation[:, :axes]).sum(axis=1, dtype=np.float64))


def _lost(rows: Floats, rotation: Floats, dim: int) -> float:
    """Share of the squares of unit rows that the best `dim` axes for them keep, less what the leading axes keep."""
    own = np.linalg.eigvalsh(rows.astype(np.float64) @ rows.T.astype(np.float64))[::-1][:dim].sum()
    return float((own - _kept(rows, rotation, dim).sum()) / len(rows))


def _overlap(adaptor: Adaptor, vectors: Floats, dim: int) -> float:
    """Mean overlap@10 of the rows' neighbours among each other, at a dim and at the full dimension."""
    near = [_neighbours(part, adaptor) for part in (vectors, adaptor.transform_rows(vectors, dim=dim))]
    return float(overlap_at_k(near[0], near[1], _NEAREST).mean())


def _neighbours(rows: Floats, adaptor: Adaptor) -> npt.NDArray[np.int64]:
    scores = similarities(rows, rows, adaptor.metric)
    np.fill_diagonal(scores, -np.inf)
    return np.asarray(np.argsort(-scores, axis=1, kind="stable")[:, :_NEAREST], np.int64)
