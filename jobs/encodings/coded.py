"""What all encodings of adaptor/codec.py have in common, however their codes lie in a column."""

from __future__ import annotations

from typing import ClassVar

from adaptor.artefact import Adaptor
from adaptor.rows import Floats


class Coded:
    """The part of an `Encoding` that its codec does; `name` is the codec's encoding."""

    name: ClassVar[str]

    def __init__(self, adaptor: Adaptor, dim: int) -> None:
        codec = adaptor.codec(dim=dim, encoding=self.name)
        self.projection, self.quantiser, self.dim = codec.projection, codec.quantiser, dim
        self.bytes_per_vector = codec.bytes_per_vector

    def saturated(self, vectors: Floats) -> int:
        """Numbers beyond the largest code; none where the outermost levels are meant for the tails."""
        return self.quantiser.clipped(vectors)

    def tolerance(self, stored: Floats) -> Floats:
        """What rounding to the nearest code does."""
        return self.quantiser.tolerance(stored)

    def clip(self, vectors: Floats) -> Floats:
        """Between the outermost codes."""
        return self.quantiser.clip(vectors)
