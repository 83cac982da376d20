"""Stored codes as vectors that our exact search can compare, in the order in which a database would put them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from adaptor.artefact import Adaptor
from adaptor.codec import Codec
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
        return self._encoding.bytes_per_vector

    @property
    def metric(self) -> Metric:
        """What the vectors of `queries` and `documents` are compared by."""
        if self.held.compared == "hamming":
            return "dot"
        return "l2" if self.held.compared == "euclid" else self.adaptor.metric

    def queries(self, vectors: Floats) -> Floats:
        """Full vectors (n, d) as what is searched with, float32 (n, m)."""
        if self.held.compared == "hamming":
            signs = _signs(self._codec.encode(vectors))
            return np.hstack([signs, np.ones((len(signs), 1), np.float32)])
        short = self._encoding.projection.transform_rows(vectors)
        return short if self.held.compared == "floats" else self._coded(short)

    def documents(self, vectors: Floats) -> Floats:
        """Full vectors (n, d) as what their codes stand for, float32 (n, m).

        Signs ±1 have the inner product m - 2·(bits that differ). A last number in [0, 1), drawn from the code, orders
        those at the same distance: a database has some order, too, and a search through ties would take long.
        """
        if self.held.compared == "hamming":
            codes = self._codec.encode(vectors)
            weights = np.sqrt(np.arange(2, codes.shape[1] + 2))
            order = np.modf(codes @ weights)[0].astype(np.float32)
            return np.hstack([_signs(codes), order[:, None]])
        return self._coded(self._encoding.projection.transform_rows(vectors))

    def _coded(self, short: Floats) -> Floats:
        if self.held.compared == "own_int8":
            steps = np.abs(short).max(axis=1) / np.float32(127)
            return np.asarray(np.rint(short * scale(steps)) * steps[:, None])
        return self._encoding.decode(self._encoding.encode(short)).vectors

    @cached_property
    def _encoding(self) -> Encoding:
        return open_encoding(self.held.encoding, self.adaptor, self.dim)

    @cached_property
    def _codec(self) -> Codec:
        return self.adaptor.codec(dim=self.dim, encoding=self.held.encoding)


def _signs(codes: Codes) -> Floats:
    """Packed bits (n, m / 8) as -1 and 1, float32 (n, m)."""
    return np.unpackbits(codes, axis=1).astype(np.float32) * 2 - 1
