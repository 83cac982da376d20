"""The query side as numpy reads it: the format `matrix`, one `.npy` file for each matrix and a description.

side = open_query_side("out/query-side")
short = side.transform(queries)  # (n, d) → float32 (n, dim)
codes = side.encode(documents)  # (n, d) → codes (n, width), those of compress
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from adaptor.adaptor import Adaptor
from adaptor.codec import BITS, Codec
from adaptor.errors import InputError
from adaptor.projection import Perceptron, Projection, normalise
from adaptor.quantisers import Codes
from adaptor.query_side.description import DESCRIPTION, Description, describe, read_description
from adaptor.rows import Floats

#: The linear map (d, m), and what the mlp architecture has besides (projection.py).
MATRIX, PERCEPTRON = "matrix.npy", ("hidden_weight.npy", "hidden_bias.npy", "output_weight.npy", "output_bias.npy")


@dataclass(frozen=True)
class QuerySide:
    """One adaptor at one dim and encoding, for queries and for documents that are written between two runs."""

    description: Description
    codec: Codec

    def transform(self, vectors: ArrayLike) -> Floats:
        """Original vectors (n, d) or (d,) as float32 (n, dim) or (dim,), in the coordinates of the codes. Raises
        InputError on another shape, and on a row with NaN or infinity (named)."""
        return self.codec.transform(vectors)

    def encode(self, vectors: ArrayLike) -> Codes:
        """Original vectors (n, d) or (d,) as codes (n, width) or (width,). Raises InputError as `transform` does."""
        return self.codec.encode(vectors)

    def stored_numbers(self, vectors: ArrayLike) -> list[list[float]]:
        """What a store that compares numbers holds for documents (n, d): the codes of float32, float16, int8 and uint8;
        for int4, int2 and binary the floats that the codes stand for. Raises InputError as `transform` does."""
        codes = np.atleast_2d(self.encode(vectors))
        if self._packed:
            decoded = np.array(self.codec.reconstruct(codes))
            normalise(decoded, self.description.metric)
            codes = decoded
        numbers: list[list[float]] = codes.tolist()
        return numbers

    def asked_numbers(self, vectors: ArrayLike) -> list[list[float]]:
        """What such a store is asked with for queries (n, d): codes as `stored_numbers`, but floats where the codes are
        packed. Raises InputError as `transform` does."""
        asked = np.atleast_2d(self.transform(vectors) if self._packed else self.encode(vectors))
        numbers: list[list[float]] = asked.tolist()
        return numbers

    @property
    def _packed(self) -> bool:
        """Whether an entry of a code holds several numbers, which no store compares one by one."""
        return BITS[self.description.encoding] < 8


def query_side(adaptor: Adaptor, *, dim: int, encoding: str) -> QuerySide:
    """The query side of an adaptor that is at hand. Raises InputError as `Adaptor.codec` does."""
    codec = adaptor.codec(dim=dim, encoding=encoding)
    return QuerySide(describe(adaptor, codec), codec)


def open_query_side(folder: str | Path, index: Mapping[str, Any] | None = None) -> QuerySide:
    """Read a folder of the format `matrix` (also `langchain` and `llamaindex`). `index` are the stamps of the index
    that is searched (`Description.check_index`).

    Raises InputError when a file is missing, damaged or does not fit the others, when the canary vectors come out
    otherwise than at the export, and when the index belongs to another query side.
    """
    description = read_description(folder)
    if index is not None:
        description.check_index(index)
    names = [MATRIX, *(PERCEPTRON if set(PERCEPTRON) & set(description.files) else ())]
    tensors = {name: _read(Path(folder) / name, description.files.get(name)) for name in names}
    hidden = len(tensors[PERCEPTRON[1]]) if len(names) > 1 else 0
    d, m = description.input_dim, description.dim
    for name, shape in zip(names, [(d, m), (d, hidden), (hidden,), (hidden, m), (m,)], strict=False):
        if tensors[name].shape != shape or tensors[name].dtype != np.float32:
            found = f"{tensors[name].dtype} {tensors[name].shape}"
            raise InputError(f"{folder}/{name} is {found}, {DESCRIPTION} says float32 {shape}; write it again")
    perceptron = Perceptron(*(tensors[name] for name in PERCEPTRON)) if hidden else None
    projection = Projection(tensors[MATRIX], description.metric, perceptron)
    side = QuerySide(description, Codec(description.encoding, projection, description.quantiser))
    vectors = description.canary_vectors
    description.check_canary(side.transform(vectors), side.encode(vectors), "the matrix")
    return side


def read_whole(path: Path, sha256: str | None) -> bytes:
    """The bytes of a file of an export. Raises InputError when it is missing or not the one that was described."""
    if not path.is_file():
        raise InputError(f"{path} is missing: give the folder that `matryoshka query-side` wrote, whole")
    content = path.read_bytes()
    if (found := hashlib.sha256(content).hexdigest()) != sha256:
        raise InputError(
            f"{path} is damaged or was changed: its hash is {found[:16]}…, recorded is {str(sha256)[:16]}…; "
            "write it again (matryoshka query-side)"
        )
    return content


def _read(path: Path, sha256: str | None) -> Floats:
    content = read_whole(path, sha256)
    try:
        return np.asarray(np.load(io.BytesIO(content), allow_pickle=False))
    except (ValueError, EOFError, OSError) as problem:
        raise InputError(f"{path} is no .npy file ({problem}); write it again") from problem
