"""The second door: an `Encoding` of short vectors as an Arrow column. registry.py lists all encodings."""

from __future__ import annotations

from pkgutil import resolve_name
from typing import Protocol

import pyarrow as pa

from adaptor.artefact import Adaptor
from adaptor.projection import Projection
from adaptor.rows import Floats
from jobs.encodings.registry import ENCODINGS
from jobs.sources.vectors import Decoded


class Encoding(Protocol):
    """How vectors of one adaptor at one dim are stored. Made by `open_encoding` in each process that needs it."""

    #: What makes of full vectors those that are encoded: the adaptor's map to this dim, in any rotation.
    projection: Projection
    #: Arrow type of the stored column.
    arrow_type: pa.DataType
    #: Bytes of one stored vector.
    bytes_per_vector: int

    @property
    def length_tolerance(self) -> float:
        """How far from 1 the length of a decoded unit vector may be."""

    def encode(self, vectors: Floats) -> pa.Array:
        """Float32 (n, dim) as a column of `arrow_type`: rounded to nearest, clipped where the encoding ends."""

    def decode(self, column: pa.Array | pa.ChunkedArray) -> Decoded:
        """A column of `arrow_type` as float32 (n, dim), with a reason for every row that holds no vector."""

    def saturated(self, vectors: Floats) -> int:
        """How many numbers of float32 (n, dim) `encode` clips."""

    def tolerance(self, stored: Floats) -> Floats:
        """How far each decoded number (n, dim) may be from the encoded one, clipped ones aside."""

    def clip(self, vectors: Floats) -> Floats:
        """Float32 (n, dim) within the range that the encoding can hold."""


def open_encoding(name: str, adaptor: Adaptor, dim: int) -> Encoding:
    """The encoding of this name, which the configuration has checked, for outputs of `dim` numbers.

    Raises InputError where the adaptor has no codes for it.
    """
    encoding: Encoding = resolve_name(ENCODINGS[name])(adaptor, dim)
    return encoding
