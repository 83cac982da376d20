"""What is compared by searching: the original vectors, the baselines at some dims, the adaptor also in some encodings.

Documents are what their codes stand for. Queries stay float32, unless a database compares codes with codes.
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
from adaptor.settings import Metric
from jobs.config.databases import Held
from jobs.encodings.encoding import open_encoding
from jobs.search.stored import Stored


@dataclass(frozen=True)
class Columns:
    """The columns of a comparison: every method at `dims` in float32, and the adaptor at every one of `coded`, pairs
    of dim and what is held of it."""

    adaptor: Adaptor
    dims: tuple[int, ...]
    coded: tuple[tuple[int, Held], ...] = ()

    def __reduce__(self) -> tuple[Any, ...]:
        return Columns, (self.adaptor, self.dims, self.coded)  # opened encodings stay where they are

    def queries(self, vectors: Floats) -> Iterator[tuple[Column, Floats]]:
        """Query vectors float32 (n, d) → every column with what it searches with, float32 (n, m)."""
        yield from self._float32(vectors)
        for column, stored, short in self._short(vectors):
            yield column, stored.queries(short)

    def documents(self, vectors: Floats) -> Iterator[tuple[Column, Floats]]:
        """Document vectors float32 (n, d) → every column with what its codes stand for, float32 (n, m)."""
        yield from self._float32(vectors)
        for column, stored, short in self._short(vectors):
            yield column, stored.documents(short)

    def metric(self, column: Column) -> Metric:
        """What queries and documents of a column are compared by."""
        stored = self.stored.get(column)
        return self.adaptor.metric if stored is None else stored.metric

    def bytes_of(self, column: Column) -> int:
        """Bytes of a stored vector."""
        stored = self.stored.get(column)
        return float32_bytes(column) if stored is None else stored.bytes_per_vector

    @cached_property
    def stored(self) -> dict[Column, Stored]:
        """The coded columns of the adaptor, and how each is stored and compared."""
        return {Column(ADAPTOR, dim, held.name): Stored(self.adaptor, dim, held) for dim, held in self.coded}

    def _short(self, vectors: Floats) -> Iterator[tuple[Column, Stored, Floats]]:
        """Every coded column with its short vectors; neighbours of one projection share them."""
        projection, short = None, np.empty((0, 0), np.float32)
        for column, stored in self.stored.items():
            if stored.projection is not projection:
                projection = stored.projection
                short = projection.transform_rows(vectors)
            yield column, stored, short

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


def available(adaptor: Adaptor, dims: Sequence[int], kinds: Sequence[Held]) -> tuple[tuple[int, Held], ...]:
    """The dims and kinds of column, by dim, that the adaptor has; plain float32 is every dim's own column.

    Raises InputError for an encoding that it has at none of the dims.
    """
    pairs = []
    for held in dict.fromkeys(kinds):
        found = []
        for dim in dims:
            if held.most_dims is None or dim <= held.most_dims:
                with suppress(InputError):
                    open_encoding(held.encoding, adaptor, dim)
                    found.append((dim, held))
        if not found:
            open_encoding(held.encoding, adaptor, dims[-1])  # says why
        pairs += found if held.name != "float32" else []
    return tuple(sorted(pairs, key=lambda pair: pair[0]))
