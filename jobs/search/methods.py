"""What evaluate compares: ways to make a short vector from a long one, in one table.

All of them are maps of one row. `nested` says that the narrower output is a prefix of the wider one up to its length
(true of every linear map, and of every form of the adaptor, which normalises last, unless low-dimensional outputs have
a map to themselves): one product serves all dims.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from adaptor.artefact import Adaptor
from adaptor.rows import Floats

ORIGINAL = "original"


class Column(NamedTuple):
    """One column of the comparison: a method at a dim."""

    method: str
    dim: int


@dataclass(frozen=True)
class Method:
    """`transform` maps float32 (n, d) and a dim m to float32 (n, m)."""

    transform: Callable[[Floats, int], Floats]
    nested: bool = True


def methods(adaptor: Adaptor) -> dict[str, Method]:
    """The methods by the name that metrics.json gives them, baselines first; a further method is one more line."""
    return {
        "truncation": Method(lambda vectors, dim: vectors[:, :dim]),
        "pca": Method(lambda vectors, dim: vectors @ adaptor.rotation[:, :dim]),
        "adaptor": Method(adaptor.transform, nested=not adaptor.head_dim),
    }


def shorten(adaptor: Adaptor, vectors: Floats, dims: Sequence[int]) -> Iterator[tuple[Column, Floats]]:
    """Yield the original vectors and then every method at every dim: float32 (n, d) → (column, float32 (n, m)) each.

    Rows come out at whatever length they have: for the cosine metric the search and the distances normalise them.
    """
    yield Column(ORIGINAL, adaptor.input_dim), vectors
    for name, method in methods(adaptor).items():
        widest = method.transform(vectors, max(dims)) if method.nested else None
        for dim in dims:
            yield Column(name, dim), method.transform(vectors, dim) if widest is None else widest[:, :dim]
