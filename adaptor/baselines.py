"""What the adaptor is compared with: truncation and PCA, beside the adaptor itself, behind one function.

Rows come out at whatever length they have: every search and every measure scales them itself for the cosine metric.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from adaptor.artefact import Adaptor
from adaptor.rows import Floats

#: The name that the full-dimension vectors have among the methods.
ORIGINAL = "original"
ADAPTOR = "adaptor"
#: Methods as metrics.json names them, baselines first.
METHODS = ("truncation", "pca", ADAPTOR)


class Column(NamedTuple):
    """One column of a comparison: a method at a dim."""

    method: str
    dim: int


def shorten(adaptor: Adaptor, method: str, vectors: Floats, dim: int) -> Floats:
    """Shorten vectors by one of METHODS: float32 (n, d) → float32 (n, dim)."""
    if method == ADAPTOR:
        return adaptor.transform_rows(vectors, dim=dim)
    return vectors[:, :dim] if method == "truncation" else vectors @ adaptor.rotation[:, :dim]


def shorten_to_all(adaptor: Adaptor, vectors: Floats, dims: Sequence[int]) -> Iterator[tuple[Column, Floats]]:
    """Yield the original vectors and then every method at every dim: float32 (n, d) → (column, float32 (n, m)) each.

    The smaller output of a method is a prefix of the larger one up to its length, so one product serves all dims; only
    an adaptor with a low-dimensional head maps for each dim.
    """
    yield Column(ORIGINAL, adaptor.input_dim), vectors
    for method in METHODS:
        nested = method != ADAPTOR or not adaptor.head_dim
        longest = shorten(adaptor, method, vectors, max(dims)) if nested else None
        for dim in dims:
            yield Column(method, dim), shorten(adaptor, method, vectors, dim) if longest is None else longest[:, :dim]
