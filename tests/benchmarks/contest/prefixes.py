"""PCA prefixes, rotated inside the kept dims or not: what codes of others are put on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adaptor.pca import moments, rotation
from adaptor.rows import Floats, unit_rows
from tests.benchmarks.contest.product import METRIC
from tests.benchmarks.contest.sets import SearchSet


@dataclass(frozen=True)
class Prefix:
    """Unit rows of e·matrix, matrix (d, m)."""

    matrix: Floats

    def transform(self, vectors: Floats) -> Floats:
        """Vectors (n, d) → float32 (n, m)."""
        return unit_rows(vectors @ self.matrix)

    def turned(self, turn: Floats) -> Prefix:
        """The same in coordinates turned by an orthogonal (m, m)."""
        return Prefix(self.matrix @ turn)


@dataclass(frozen=True)
class Prefixes:
    """The prefixes of one set's PCA; `seed` draws rotations."""

    axes: Floats
    seed: int

    def pca(self, dim: int) -> Prefix:
        """Its first axes."""
        return Prefix(self.axes[:, :dim])

    def rotated(self, dim: int) -> Prefix:
        """Its first axes, rotated at random."""
        return self.pca(dim).turned(random_rotation(dim, self.seed))

    def whole(self) -> Prefix:
        """The vectors as they are."""
        return Prefix(np.eye(len(self.axes), dtype=np.float32))


def prefixes(there: SearchSet, seed: int) -> Prefixes:
    """The PCA of a set, uncentred, the product's own."""
    return Prefixes(rotation(moments(there.vectors, METRIC)), seed)


def random_rotation(dim: int, seed: int) -> Floats:
    """A uniformly drawn orthogonal (dim, dim)."""
    q, r = np.linalg.qr(np.random.default_rng([seed, 40, dim]).normal(size=(dim, dim)))
    return np.asarray(q * np.sign(np.diag(r)), np.float32)
