"""What is left of the neighbours within the sample when its vectors are cut by PCA and stored in each encoding.

That flatters: the sample is sparser than its source, and PCA saw the very rows. It tells which dims and encodings are
worth a fit, not what the fit will keep.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adaptor.artefact import Adaptor, build
from adaptor.errors import InputError
from adaptor.pca import moments, rotation
from adaptor.rows import Floats, Ids, unit_rows
from adaptor.settings import DIM_LADDER, Metric
from jobs.encodings.encoding import open_encoding
from jobs.encodings.registry import ENCODINGS

_QUERIES, _NEAREST = 512, 10
#: Parts of the neighbours kept for which the smallest dim is suggested.
_STEPS = (0.6, 0.75, 0.85, 0.95)
#: An encoding is suggested when it costs no more than this beside float32.
_TOLERATED = 0.01


@dataclass(frozen=True, kw_only=True)
class Trial:
    """`kept` of the 10 nearest by dim, as float32; `encodings` at the dim `tried`: bytes of a vector and the part kept;
    which of both are worth trying."""

    kept: dict[int, float]
    tried: int
    encodings: dict[str, tuple[int, float]]
    dims_worth_trying: list[int]
    encodings_worth_trying: list[str]


def trial(vectors: Floats, metric: Metric) -> Trial | None:
    """Try all usual dims and all encodings on (n, d) vectors; None when these are too few."""
    if len(vectors) < 2 * _NEAREST:
        return None
    basis = rotation(moments(vectors, metric))
    turned = vectors @ basis
    nearest = _nearest(turned, metric)
    dims = [dim for dim in DIM_LADDER if dim < turned.shape[1]] or [turned.shape[1]]
    shortened = {dim: _shortened(turned, dim, metric) for dim in dims}
    kept = {dim: _common(nearest, _nearest(short, metric)) for dim, short in shortened.items()}
    found = (next((dim for dim in dims if kept[dim] >= step), None) for step in _STEPS)
    worth = list(dict.fromkeys(dim for dim in found if dim is not None)) or dims[-1:]
    tried = worth[len(worth) // 2]
    stored = _encoded(shortened[tried], _adaptor(basis, tried, metric), nearest, metric)
    least = kept[tried] - _TOLERATED
    good = sorted((size, name) for name, (size, part) in stored.items() if part >= least)
    return Trial(
        kept=kept,
        tried=tried,
        encodings=stored,
        dims_worth_trying=worth,
        encodings_worth_trying=[name for _, name in good],
    )


def _shortened(turned: Floats, dim: int, metric: Metric) -> Floats:
    short = turned[:, :dim]
    return unit_rows(short) if metric == "cosine" else short


def _encoded(short: Floats, adaptor: Adaptor, nearest: Ids, metric: Metric) -> dict[str, tuple[int, float]]:
    """Bytes of a vector and the part of the neighbours kept, by encoding; without those that need a fitted adaptor."""
    stored = {}
    for name in ENCODINGS:
        try:
            encoding = open_encoding(name, adaptor, short.shape[1])
            decoded = encoding.decode(encoding.encode(short)).vectors
        except (InputError, KeyError):
            continue
        stored[name] = (encoding.bytes_per_vector, _common(nearest, _nearest(decoded, metric)))
    return stored


def _adaptor(basis: Floats, dim: int, metric: Metric) -> Adaptor:
    """PCA as an adaptor, for the encodings."""
    description = {
        "input_dim": len(basis),
        "dims": [dim],
        "metric": metric,
        "architecture": "linear",
        "unit_input": False,
        "recipe": {"name": "default", "version": 1},
        "settings": {},
        "evidence": [],
    }
    return build(description, {"linear": basis}, basis)


def _nearest(vectors: Floats, metric: Metric) -> Ids:
    """The rows nearest to each of the first rows, without itself: int64 (q, 10)."""
    rows = unit_rows(vectors) if metric == "cosine" else vectors
    queries = rows[:_QUERIES]
    scores = queries @ rows.T
    if metric == "l2":
        scores = 2 * scores - np.einsum("nd,nd->n", rows, rows)
    np.fill_diagonal(scores, -np.inf)
    return np.argpartition(-scores, _NEAREST, axis=1)[:, :_NEAREST]


def _common(one: Ids, other: Ids) -> float:
    """The part of the neighbours that two tables (q, k) have in common."""
    return float(np.mean([len(np.intersect1d(*rows)) for rows in zip(one, other, strict=True)]) / one.shape[1])
