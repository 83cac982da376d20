"""Stored codes as vectors that our exact search can compare, in the order in which a database would put them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from adaptor.artefact import Adaptor
from adaptor.projection import Projection
from adaptor.quantisers import Codes
from adaptor.rows import Floats, scale
from adaptor.settings import Metric
from jobs.config.databases import Held
from jobs.encodings.encoding import Encoding, open_encoding


@dataclass(frozen=True)
class Stored:
    """A column of an adaptor's vectors at `dim`, stored and compared as `held` says."""

    adaptor: Adaptor
    dim: int
    held: Held

    @property
    def bytes_per_vector(self) -> int:
        """Bytes of a stored vector, as the database keeps it."""
        if self.held.compared == "own_int8":
            return self.dim + 4  # and its scale
        return self._encoding.bytes_per_vector + (self.searched_bytes if self.held.compared == "own_signs" else 0)

    @property
    def searched_bytes(self) -> int:
        """Of these the bytes that every search reads."""
        return -(-self.dim // 8) if self.held.compared == "own_signs" else self.bytes_per_vector

    @property
    def metric(self) -> Metric:
        """What the vectors of `queries` and `documents` are compared by."""
        if self._by_signs:
            return "dot"
        return "l2" if self.held.compared == "euclid" else self.adaptor.metric

    @property
    def projection(self) -> Projection:
        """What makes of full vectors the short ones that `queries` and `documents` take."""
        return self._encoding.projection

    def queries(self, short: Floats) -> Floats:
        """Short vectors (n, dim) as what is searched with, float32 (n, m)."""
        if self._by_signs:
            signs = _signs(self._sign_codes(short))
            return np.hstack([signs, np.ones((len(signs), 1), np.float32)])
        return short if self.held.compared == "floats" else self._coded(short)

    def documents(self, short: Floats) -> Floats:
        """Short vectors (n, dim) as what their codes stand for, float32 (n, m).

        Signs ±1 have the inner product m - 2·(bits that differ). A last number in [0, 1), drawn from the code, orders
        those at the same distance: a database has some order, too, and a search through ties would take long.
        """
        if self._by_signs:
            codes = self._sign_codes(short)
            weights = np.sqrt(np.arange(2, codes.shape[1] + 2))
            order = np.modf(codes @ weights)[0].astype(np.float32)
            return np.hstack([_signs(codes), order[:, None]])
        return self._coded(short)

    def _coded(self, short: Floats) -> Floats:
        if self.held.compared == "own_int8":
            steps = np.abs(short).max(axis=1) / np.float32(127)
            return np.asarray(np.rint(short * scale(steps)) * steps[:, None])
        return self._encoding.decode(self._encoding.encode(short)).vectors

    @cached_property
    def _encoding(self) -> Encoding:
        return open_encoding(self.held.encoding, self.adaptor, self.dim)

    @property
    def _by_signs(self) -> bool:
        return self.held.compared in ("hamming", "own_signs")

    def _sign_codes(self, short: Floats) -> Codes:
        """Short vectors as packed bits (n, m / 8): our codes, or the signs of the floats."""
        if self.held.compared == "hamming":
            return self.adaptor.codec(dim=self.dim, encoding=self.held.encoding).quantiser.quantise(short)
        return np.packbits(np.pad(short > 0, ((0, 0), (0, -self.dim % 8))), axis=1)


def _signs(codes: Codes) -> Floats:
    """Packed bits (n, m / 8) as -1 and 1, float32 (n, m)."""
    return np.unpackbits(codes, axis=1).astype(np.float32) * 2 - 1
