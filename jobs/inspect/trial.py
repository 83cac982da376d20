"""What is left of the neighbours within the sample when its vectors are cut by PCA and stored in each encoding.

That flatters: the sample is sparser than its source, and PCA saw the very rows. It tells which dims and encodings are
worth a fit, not what the fit will keep.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from adaptor.artefact import Adaptor, build, with_codes
from adaptor.code_fitting import fit_codes
from adaptor.errors import InputError
from adaptor.pca import moments, rotation
from adaptor.rows import Floats, Ids, unit_rows
from adaptor.settings import DIM_LADDER, Metric
from jobs.encodings.encoding import open_encoding
from jobs.encodings.registry import ENCODINGS

_QUERIES, _NEAREST = 256, 10
#: Parts of the neighbours kept for which the smallest dim is tried in all encodings.
_STEPS = (0.6, 0.75, 0.85, 0.95)
#: A pair that keeps less than this is not worth a fit, nor one of more bytes that keeps no more than this on top.
_WORTH, _MORE = 0.5, 0.005


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A dim in an encoding: bytes of a vector, and which part of the 10 nearest it keeps."""

    dim: int
    encoding: str
    bytes: int
    kept: float


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What is `kept` of the 10 nearest by dim, as float32; the `pairs` that were tried; and those `worth_trying`: none
    of the same or fewer bytes keeps as much."""

    kept: dict[int, float]
    pairs: list[Pair]
    worth_trying: list[Pair]


def trial(vectors: Floats, metric: Metric) -> Trial | None:
    """Try all usual dims, and some of them in all encodings, on (n, d) vectors; None when these are too few."""
    if len(vectors) < 2 * _NEAREST:
        return None
    basis = rotation(moments(vectors, metric))
    turned = vectors @ basis
    nearest = _nearest(turned, turned, metric)
    dims = [dim for dim in DIM_LADDER if dim < turned.shape[1]] or [turned.shape[1]]
    kept = {dim: _common(nearest, _nearest(turned[:, :dim], turned[:, :dim], metric)) for dim in dims}
    found = (next((dim for dim in dims if kept[dim] >= step), None) for step in _STEPS)
    tried = list(dict.fromkeys(dim for dim in found if dim is not None)) or dims[-1:]
    adaptor = _adaptor(basis, metric)
    adaptor = with_codes(adaptor, fit_codes(adaptor, vectors, vectors, 0, [dim for dim in tried if dim % 8 == 0]))
    pairs = [pair for dim in tried for pair in _pairs(vectors, adaptor, dim, nearest)]
    return Trial(kept=kept, pairs=pairs, worth_trying=list(_front(pairs)))


def _pairs(vectors: Floats, adaptor: Adaptor, dim: int, nearest: Ids) -> Iterator[Pair]:
    """The dim in every encoding that it can have. Queries stay floats, as databases have them."""
    for name in ENCODINGS:
        try:
            encoding = open_encoding(name, adaptor, dim)
        except InputError:  # codes need whole bytes
            continue
        short = encoding.projection.transform_rows(vectors)
        stored = encoding.decode(encoding.encode(short)).vectors
        kept = _common(nearest, _nearest(short, stored, adaptor.metric))
        yield Pair(dim=dim, encoding=name, bytes=encoding.bytes_per_vector, kept=kept)


def _front(pairs: list[Pair]) -> Iterator[Pair]:
    """By bytes, those that keep more than all smaller ones."""
    most = _WORTH
    for pair in sorted(pairs, key=lambda pair: (pair.bytes, -pair.kept)):
        if pair.kept > most + _MORE:
            most = pair.kept
            yield pair


def _adaptor(basis: Floats, metric: Metric) -> Adaptor:
    """PCA as an adaptor, for the encodings. Its codes have drawn rotations only: learned ones take a while."""
    description = {
        "input_dim": len(basis),
        "dims": [len(basis)],
        "metric": metric,
        "architecture": "linear",
        "unit_input": False,
        "recipe": {"name": "default", "version": 1},
        "settings": {},
        "evidence": [],
    }
    return build(description, {"linear": basis}, basis)


def _nearest(queries: Floats, rows: Floats, metric: Metric) -> Ids:
    """The rows nearest to each of the first queries, without the one of its own number: int64 (q, 10)."""
    if metric == "cosine":
        queries, rows = unit_rows(queries), unit_rows(rows)
    scores = queries[:_QUERIES] @ rows.T
    if metric == "l2":
        scores = 2 * scores - np.einsum("nd,nd->n", rows, rows)
    np.fill_diagonal(scores, -np.inf)
    return np.argpartition(-scores, _NEAREST, axis=1)[:, :_NEAREST]


def _common(one: Ids, other: Ids) -> float:
    """The part of the neighbours that two tables (q, k) have in common."""
    return float(np.mean([len(np.intersect1d(*rows)) for rows in zip(one, other, strict=True)]) / one.shape[1])
