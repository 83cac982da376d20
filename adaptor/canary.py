"""Canary vectors: what an adaptor made of a few vectors at its fit, to be made again wherever it is used.

Hashes tell that the files are whole. Canaries tell that what reads them still computes the same: another version of a
library, another engine, a copy of the map in another language.

The vectors are drawn, not taken from the source: nothing of it leaks, and a vector without a preferred direction
sees every row and column of the map alike. They are the 16-bit numbers of SHAKE-256("matryoshka canary DIM"), little
endian, less 32,767.5, scaled to the middle length of the sample.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from adaptor.codec import BITS, Codec, coded_dims
from adaptor.errors import InputError
from adaptor.rows import Floats

if TYPE_CHECKING:
    from adaptor.adaptor import Adaptor

Canary = Mapping[str, NDArray[Any]]

#: Vectors; each checks all numbers of a map.
ROWS = 4
#: How far a number may be from that of the fit, as a share of the longest output.
TOLERANCE = 1e-5
#: Encodings whose codes are kept. The others are the numbers themselves, rounded as IEEE 754 has it.
_CODED = tuple(name for name, bits in BITS.items() if bits <= 8)
_REMEDY = (
    "what computes here is not what computed there, and vectors of both must not be compared: "
    "use the versions that it was made with (adaptor.json names those of the fit), or make it again"
)


def draw(input_dim: int, length: float = 1.0) -> Floats:
    """The canary vectors, float32 (4, input_dim), of this length: the same on every machine."""
    digest = hashlib.shake_256(f"matryoshka canary {input_dim}".encode()).digest(2 * ROWS * input_dim)
    rows = np.frombuffer(digest, "<u2").reshape(ROWS, input_dim).astype(np.float64) - 32767.5
    rows *= length / np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32)


def record(adaptor: Adaptor) -> dict[str, NDArray[Any]]:
    """The canary of an adaptor as tensors: `vectors` (4, d) and for each trained dim m `short_m` (4, m), float32; where
    it has codes also `rotated_m` (4, m), float32, and `int8_m`, `int4_m` … as the codec gives them for these."""
    vectors = draw(adaptor.input_dim, _usual_length(adaptor.document))
    canary: dict[str, NDArray[Any]] = {"vectors": vectors}
    for dim in adaptor.dims:
        canary[f"short_{dim}"] = adaptor.transform(vectors, dim=dim)
        if dim in coded_dims(adaptor.codes):
            codecs = {name: adaptor.codec(dim=dim, encoding=name) for name in _CODED}
            canary[f"rotated_{dim}"] = rotated = codecs["int8"].transform(vectors)
            canary |= {f"{name}_{dim}": codec.quantiser.quantise(rotated) for name, codec in codecs.items()}
    return canary


def check_shape(canary: Canary, adaptor: Adaptor, where: str) -> None:
    """Raise InputError unless the tensors are those of a canary of this adaptor; `where` names the file."""
    expected: dict[str, tuple[Any, ...]] = {"vectors": (np.float32, ROWS, adaptor.input_dim)}
    for dim in adaptor.dims:
        expected[f"short_{dim}"] = (np.float32, ROWS, dim)
        if dim in coded_dims(adaptor.codes):
            expected[f"rotated_{dim}"] = (np.float32, ROWS, dim)
            for name in _CODED:
                kind = np.int8 if name == "int8" else np.uint8
                expected[f"{name}_{dim}"] = (kind, ROWS, dim * BITS[name] // 8)
    if {name: (tensor.dtype.type, *tensor.shape) for name, tensor in canary.items()} != expected:
        raise InputError(f"{where}: its tensors are not those of a canary ({', '.join(sorted(canary))}); fit again")


def check_transform(canary: Canary, adaptor: Adaptor) -> None:
    """Raise InputError where the adaptor's short vectors are not those of its fit."""
    for name in canary:
        if match := re.fullmatch(r"short_(\d+)", name):
            dim = int(match[1])
            made = adaptor.transform(canary["vectors"], dim=dim)
            check_numbers(made, canary[name], f"adaptor {adaptor.adaptor_id[:16]} at dim {dim}")


def check_codec(canary: Canary, codec: Codec, who: str) -> None:
    """Raise InputError where numbers or codes of a codec are not those of the fit; `who` names the adaptor.

    Does nothing at dims that have no canary. The codes are compared for the numbers of the fit, so that they must be
    equal: a number beside the border of two codes may be rounded either way when it is computed again.
    """
    if (codes := canary.get(f"{codec.encoding}_{codec.dim}")) is None:
        return
    rotated, who = canary[f"rotated_{codec.dim}"], f"{who} at dim {codec.dim}"
    check_numbers(codec.transform(canary["vectors"]), rotated, f"{who}, rotated for {codec.encoding},")
    check_codes(codec.quantiser.quantise(rotated), codes, f"{who} as {codec.encoding}")


def check_numbers(made: Floats, expected: Floats, who: str) -> None:
    """Raise InputError unless numbers (4, m) are the expected ones within `TOLERANCE`; `who` made them."""
    both = np.array([made, expected], np.float64)
    with np.errstate(invalid="ignore"):  # infinity less infinity
        differences = np.abs(both[0] - both[1])
    limit = TOLERANCE * float(np.linalg.norm(both, axis=2).max(axis=1).min())
    if not (differences <= limit).all():  # so that NaN is none
        row, column = np.unravel_index(np.argmax(np.nan_to_num(differences, nan=np.inf)), differences.shape)
        raise InputError(
            f"{who} makes other numbers of the canary vectors than recorded: number {column} of vector {row} is "
            f"{made[row, column]:.6g}, it was {expected[row, column]:.6g} (allowed is {limit:.2g}); {_REMEDY}"
        )


def check_codes(made: NDArray[Any], expected: NDArray[Any], who: str) -> None:
    """Raise InputError unless codes (4, width) are the expected ones; `who` made them."""
    if not np.array_equal(made, expected):
        row, column = np.argwhere(made != expected)[0]
        raise InputError(
            f"{who} makes other codes of the canary vectors than recorded: entry {column} of vector {row} is "
            f"{made[row, column]}, it was {expected[row, column]}; {_REMEDY}"
        )


def _usual_length(document: Mapping[str, Any]) -> float:
    """A length between the shortest and the longest of the sample, where the document tells them; 1 otherwise."""
    statistics = document.get("statistics") or {}
    length = math.sqrt(statistics.get("shortest", 1.0) * statistics.get("longest", 1.0))
    return length if 0 < length < math.inf else 1.0
