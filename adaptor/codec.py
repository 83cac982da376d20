"""Encodings: how a short vector is stored, from float32 to one bit a number, and how a query is scored against codes.

| encoding | bits | what is stored |
|---|--:|---|
| float32, float16 | 32, 16 | the numbers of `Adaptor.transform` |
| int8, uint8 | 8 | whole numbers of one step, after a rotation; uint8 has 128 added |
| int4, int2 | 4, 2 | the nearest of 16 or 4 levels around a centre, after a rotation |
| binary | 1 | the sign, around a centre, after a rotation |

The rotation spreads what the leading coordinates hold over all of them, so that one step serves all. It changes no
inner product. The centre of int4, int2 and binary is the mean of the sample: a model whose vectors share a direction
would waste its levels on it. A query stays float: q·(Δc + μ) is exact, and only the decoded length is divided out for
cosine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adaptor.errors import InputError
from adaptor.projection import Projection, normalise
from adaptor.quantisers import Codes, Float, MidRise, Quantiser, SymmetricInt8
from adaptor.rotation import DrawnRotation, LearnedRotation, Rotation
from adaptor.rows import Floats, as_numbers, scale

#: Bits of a number by encoding, in the order in which they are shown.
BITS = {"float32": 32, "float16": 16, "int8": 8, "uint8": 8, "int4": 4, "int2": 2, "binary": 1}
#: Encodings with levels of their own, in the order of a `steps` tensor.
STEPPED = ("int8", "int4", "int2", "binary")
#: Codes that are decoded at once while they are scored.
_SCORED_ROWS = 2048


class Rotated(NamedTuple):
    """A rotation of short vectors, and the projection that gives them rotated."""

    rotation: Rotation
    projection: Projection


@dataclass(frozen=True)
class Codec:
    """An encoding of one adaptor at one dim. Made by `Adaptor.codec`.

    Codes are (n, width) of the quantiser's dtype: numbers for float32, float16, int8 and uint8, packed bytes (uint8)
    otherwise (quantisers.py says where each bit stands).
    """

    encoding: str
    projection: Projection
    quantiser: Quantiser
    rotation: Rotation | None = None

    @property
    def dim(self) -> int:
        """How many numbers a code stands for."""
        return int(self.projection.columns.shape[1])

    @property
    def bytes_per_vector(self) -> int:
        """Bytes of one code."""
        bytes_per_entry: int = self.quantiser.dtype.itemsize
        return self.quantiser.width * bytes_per_entry

    def transform(self, vectors: ArrayLike) -> Floats:
        """The query's side: vectors (n, d) or (d,) as float32 (n, dim) or (dim,), in the coordinates of the codes.

        Raises InputError on another shape, and on a row with NaN or infinity (named).
        """
        rows, input_dim = as_numbers(vectors), len(self.projection.columns)
        if rows.ndim not in (1, 2) or rows.shape[-1] != input_dim:
            raise InputError(f"vectors have shape {rows.shape}, but this adaptor takes (n, {input_dim})")
        return self.projection.transform_rows(np.atleast_2d(rows)).reshape(*rows.shape[:-1], self.dim)

    def encode(self, vectors: ArrayLike) -> Codes:
        """Vectors (n, d) or (d,) as codes (n, width) or (width,). Raises InputError as `transform` does."""
        short = self.transform(vectors)
        return self.quantiser.quantise(np.atleast_2d(short)).reshape(*short.shape[:-1], self.quantiser.width)

    def reconstruct(self, codes: ArrayLike) -> Floats:
        """What codes (n, width) stand for, float32 (n, dim), in the coordinates of the codes; not scaled to length 1.

        Raises InputError when these are no codes of this codec.
        """
        return self.quantiser.reconstruct(self._checked(np.asarray(codes)))

    def decode(self, codes: ArrayLike) -> Floats:
        """Codes (n, width) or (width,) back in the adaptor's coordinates: about `Adaptor.transform` of the vectors,
        float32 (n, dim) or (dim,), unit rows for cosine. A zero vector has no direction: what comes back for it means
        nothing. Raises InputError as `reconstruct` does."""
        stored = np.asarray(codes)
        numbers = np.array(self.reconstruct(np.atleast_2d(stored)))
        if self.rotation is not None:
            numbers = self.rotation.invert(numbers.astype(np.float64)).astype(np.float32)
        normalise(numbers, self.projection.metric)
        return numbers.reshape(*stored.shape[:-1], self.dim)

    def score(self, queries: ArrayLike, codes: ArrayLike) -> Floats:
        """Similarity of queries (q, d), original vectors, to codes (n, width): float32 (q, n), larger is nearer.

        The cosine or dot product with the decoded vectors, or minus the squared distance (l2). Raises InputError as
        `transform` and `reconstruct` do.
        """
        return self.score_transformed(np.atleast_2d(self.transform(queries)), codes)

    def score_transformed(self, queries: Floats, codes: ArrayLike) -> Floats:
        """The same for queries (q, dim) that `transform` gave."""
        stored = self._checked(np.asarray(codes))
        scores = np.empty((len(queries), len(stored)), np.float32)
        for start in range(0, len(stored), _SCORED_ROWS):
            part = slice(start, start + _SCORED_ROWS)
            self._score(queries, self.quantiser.reconstruct(stored[part]), scores[:, part])
        return scores

    def _score(self, queries: Floats, decoded: Floats, scores: Floats) -> None:
        """Similarities of queries (q, m) to decoded rows (n, m), into `scores` (q, n)."""
        metric = self.projection.metric
        if metric == "l2":
            # Distances do not depend on the origin. Far from the vectors their squares would cancel in float32.
            origin = decoded.mean(axis=0)
            queries, decoded = queries - origin, decoded - origin
        np.matmul(queries, decoded.T, out=scores)
        if metric == "cosine":
            scores *= scale(np.sqrt(np.einsum("nm,nm->n", decoded, decoded)))[:, 0]
        elif metric == "l2":
            scores *= 2
            scores -= np.einsum("nm,nm->n", decoded, decoded)
            scores -= np.einsum("qm,qm->q", queries, queries)[:, None]

    def _checked(self, codes: Codes) -> Codes:
        width, dtype = self.quantiser.width, self.quantiser.dtype
        if codes.ndim != 2 or codes.shape[1] != width or codes.dtype != dtype:
            raise InputError(
                f"codes are {codes.dtype} {codes.shape}, but {self.encoding} at dim {self.dim} is {dtype} "
                f"(n, {width}): give the codes of this adaptor, dim and encoding, whole"
            )
        return codes


def open_codec(
    projection: Projection, fitted: Mapping[str, NDArray[Any]], encoding: str, opened: dict[int, Rotated]
) -> Codec:
    """The codec of these outputs. `fitted` is what `fit_codes` found (code_fitting.py), empty for older adaptors;
    `opened` are the rotated projections by dim so far, which all encodings of a dim share.

    Raises InputError for an unknown encoding, and for one that was not fitted at this dim.
    """
    dim = projection.columns.shape[1]
    if encoding not in BITS:
        raise InputError(f"encoding is {encoding!r}: give one of {', '.join(BITS)}")
    if encoding in ("float32", "float16"):
        return Codec(encoding, projection, Float(dim, np.dtype(encoding)))
    if f"steps_{dim}" not in fitted:
        raise InputError(_not_fitted(encoding, dim, fitted))
    if dim not in opened:
        learned = fitted.get(f"rotation_{dim}")
        drawn = DrawnRotation(dim, int(fitted["rotation_seed"][0]))
        rotation: Rotation = drawn if learned is None else LearnedRotation(learned)
        opened[dim] = Rotated(rotation, projection.rotated(rotation.apply))
    steps = dict(zip(STEPPED, fitted[f"steps_{dim}"].tolist(), strict=True))
    quantiser = open_quantiser(encoding, steps["int8" if encoding == "uint8" else encoding], fitted[f"centre_{dim}"])
    return Codec(encoding, opened[dim].projection, quantiser, opened[dim].rotation)


def open_quantiser(encoding: str, step: float, centre: Floats) -> Quantiser:
    """The quantiser of an encoding for rows of as many numbers as `centre` (m,) has; step and centre mean nothing for
    those that have none."""
    if BITS[encoding] >= 16:
        return Float(len(centre), np.dtype(encoding))
    if BITS[encoding] == 8:
        return SymmetricInt8(len(centre), step, 128 if encoding == "uint8" else 0)
    return MidRise(BITS[encoding], step, centre)


def coded_dims(fitted: Mapping[str, NDArray[Any]]) -> tuple[int, ...]:
    """The dims for which codes were fitted, ascending."""
    return tuple(sorted(int(name.removeprefix("steps_")) for name in fitted if name.startswith("steps_")))


def _not_fitted(encoding: str, dim: int, fitted: Mapping[str, NDArray[Any]]) -> str:
    if not fitted:
        return f"this adaptor has no codes for {encoding}: it is of an older version; fit again, or use float16"
    if not (dims := coded_dims(fitted)):
        return f"this adaptor has no {encoding} codes: they need a dim that is a multiple of 8; use float16"
    remedy = "fit with it among adaptor.dims" if dim % 8 == 0 else "give a multiple of 8: others have no codes"
    return f"no {encoding} codes were fitted at dim {dim}: take one of {', '.join(map(str, dims))}, or {remedy}"
