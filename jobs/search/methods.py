"""What evaluate compares: ways to make a short vector from a long one, in one table.

All of them are maps of one row. `nested` says that the narrower output is a prefix of the wider one up to its length
(true of every linear map, and of every form of the adaptor, which normalises last, unless narrow outputs have a map to
themselves): one product serves all widths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from adaptor.artefact import Adaptor
from adaptor.rows import Floats

ORIGINAL = "original"


class Column(NamedTuple):
    """One column of the comparison: a method at a width."""

    method: str
    width: int


@dataclass(frozen=True)
class Method:
    """`transform` maps float32 (n, d) and a width m to float32 (n, m)."""

    transform: Callable[[Floats, int], Floats]
    nested: bool = True


def methods(adaptor: Adaptor) -> dict[str, Method]:
    """The methods by the name that metrics.json gives them, baselines first; a further method is one more line."""
    return {
        "truncation": Method(lambda vectors, width: vectors[:, :width]),
        "pca": Method(lambda vectors, width: vectors @ adaptor.rotation[:, :width]),
        "adaptor": Method(adaptor.transform, nested=not adaptor.narrow_width),
    }


def shorten(adaptor: Adaptor, vectors: Floats, widths: Sequence[int]) -> Iterator[tuple[Column, Floats]]:
    """Yield the original vectors and then every method at every width: float32 (n, d) → (column, float32 (n, m)) each.

    Rows come out at whatever length they have: for the cosine metric the search and the distances normalise them.
    """
    yield Column(ORIGINAL, adaptor.dim), vectors
    for name, method in methods(adaptor).items():
        widest = method.transform(vectors, max(widths)) if method.nested else None
        for width in widths:
            yield Column(name, width), method.transform(vectors, width) if widest is None else widest[:, :width]
