"""What the adaptor is compared with: truncation and PCA, beside the adaptor itself, behind one function.

Rows come out at whatever length they have: every search and every measure scales them itself for the cosine metric.
"""

from __future__ import annotations

from typing import NamedTuple

from adaptor.artefact import Adaptor
from adaptor.rows import Floats

#: The name that the full-dimension vectors have among the methods.
ORIGINAL = "original"
ADAPTOR = "adaptor"
#: Methods as metrics.json names them, baselines first.
METHODS = ("truncation", "pca", ADAPTOR)


class Column(NamedTuple):
    """One column of a comparison: a method at a dim, and how its vectors are stored."""

    method: str
    dim: int
    encoding: str = "float32"


def shorten(adaptor: Adaptor, method: str, vectors: Floats, dim: int) -> Floats:
    """Shorten vectors by one of METHODS: float32 (n, d) → float32 (n, dim)."""
    if method == ADAPTOR:
        return adaptor.transform_rows(vectors, dim=dim)
    return vectors[:, :dim] if method == "truncation" else vectors @ adaptor.rotation[:, :dim]


def float32_bytes(column: Column) -> int:
    """Bytes of a vector of this column, four a number."""
    return 4 * column.dim
