"""What is compared by searching: the original vectors, the baselines at some dims, the adaptor also in some encodings.

Documents are what their encoding decodes to; queries stay float32.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from adaptor.artefact import Adaptor
from adaptor.baselines import ADAPTOR, METHODS, ORIGINAL, Column, float32_bytes, shorten
from adaptor.errors import InputError
from adaptor.rows import Floats
from jobs.encodings.encoding import Encoding, open_encoding


@dataclass(frozen=True)
class Columns:
    """The columns of a comparison: every method at `dims` in float32, and the adaptor at every one of `coded`, pairs
    of dim and encoding."""

    adaptor: Adaptor
    dims: tuple[int, ...]
    coded: tuple[tuple[int, str], ...] = ()

    def __reduce__(self) -> tuple[Any, ...]:
        return Columns, (self.adaptor, self.dims, self.coded)  # opened encodings stay where they are

    def queries(self, vectors: Floats) -> Iterator[tuple[Column, Floats]]:
        """Query vectors float32 (n, d) → every column with what it searches with, float32 (n, m)."""
        yield from self._float32(vectors)
        for column, _, short in self._short(vectors):
            yield column, short

    def documents(self, vectors: Floats) -> Iterator[tuple[Column, Floats]]:
        """Document vectors float32 (n, d) → every column with what its codes stand for, float32 (n, m)."""
        yield from self._float32(vectors)
        for column, encoding, short in self._short(vectors):
            yield column, encoding.decode(encoding.encode(short)).vectors

    def bytes_of(self, column: Column) -> int:
        """Bytes of a stored vector."""
        encoding = self._encodings.get(column)
        return float32_bytes(column) if encoding is None else encoding.bytes_per_vector

    @cached_property
    def _encodings(self) -> dict[Column, Encoding]:
        return {Column(ADAPTOR, dim, name): open_encoding(name, self.adaptor, dim) for dim, name in self.coded}

    def _short(self, vectors: Floats) -> Iterator[tuple[Column, Encoding, Floats]]:
        """Every coded column with its short vectors; neighbours of one projection share them."""
        projection, short = None, np.empty((0, 0), np.float32)
        for column, encoding in self._encodings.items():
            if encoding.projection is not projection:
                projection = encoding.projection
                short = projection.transform_rows(vectors)
            yield column, encoding, short

    def _float32(self, vectors: Floats) -> Iterator[tuple[Column, Floats]]:
        """The original vectors, then every method. The smaller output of a method is a prefix of the larger one up to
        its length, so one product serves all dims; only an adaptor with a low-dimensional head maps for each dim."""
        yield Column(ORIGINAL, self.adaptor.input_dim), vectors
        for method in METHODS:
            nested = method != ADAPTOR or not self.adaptor.head_dim
            longest = shorten(self.adaptor, method, vectors, max(self.dims)) if nested else None
            for dim in self.dims:
                short = shorten(self.adaptor, method, vectors, dim) if longest is None else longest[:, :dim]
                yield Column(method, dim), short


def available(adaptor: Adaptor, dims: Sequence[int], encodings: Sequence[str]) -> tuple[tuple[int, str], ...]:
    """The pairs of dim and encoding, by dim, that the adaptor has; float32 is every dim's own column.

    Raises InputError for an encoding that it has at none of the dims.
    """
    pairs = []
    for encoding in dict.fromkeys(encodings):
        found = []
        for dim in dims:
            with suppress(InputError):
                open_encoding(encoding, adaptor, dim)
                found.append((dim, encoding))
        if not found:
            open_encoding(encoding, adaptor, dims[-1])  # says why
        pairs += found if encoding != "float32" else []
    return tuple(sorted(pairs, key=lambda pair: pair[0]))
