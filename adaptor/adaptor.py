"""The fitted adaptor as a numpy function: what compress, evaluate and a query service all use."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from adaptor.canary import check_codec
from adaptor.codec import Codec, Rotated, open_codec
from adaptor.errors import InputError
from adaptor.identity import CANARY, CODES, DOCUMENT, PCA, WEIGHTS, required_files
from adaptor.projection import Perceptron, Projection, normalise, row_blocks
from adaptor.rows import Floats, as_numbers
from adaptor.settings import Metric


@dataclass(frozen=True)
class Adaptor:
    """A fitted adaptor `ê = e + f(e)`, folded for application.

    `tensors` holds `linear` (d, d). The orthogonal architecture may add `head` (b, c): outputs of at most c columns are
    (e·linear)[:b]·head, wider ones e·linear alone. The mlp architecture adds `hidden_weight` (d, h), `hidden_bias`
    (h,), `output_weight` (h, d) and `output_bias` (d,): ê = e·linear + relu(e·hidden_weight +
    hidden_bias)·output_weight + output_bias. All are float32.
    """

    document: dict[str, Any]
    tensors: Mapping[str, Floats]
    pca: bytes = field(repr=False)
    codes: Mapping[str, NDArray[Any]] = field(default_factory=dict, repr=False)
    canary: Mapping[str, NDArray[Any]] = field(default_factory=dict, repr=False)

    @property
    def adaptor_id(self) -> str:
        """Hash of weights and settings, 64 hexadecimal digits."""
        return str(self.document["adaptor_id"])

    @property
    def input_dim(self) -> int:
        """Dimension d of the vectors it takes."""
        return int(self.document["input_dim"])

    @property
    def dims(self) -> tuple[int, ...]:
        """Dims it was trained for, ascending."""
        return tuple(self.document["dims"])

    @property
    def metric(self) -> Metric:
        """Similarity that it was fitted for."""
        metric: Metric = self.document["metric"]
        return metric

    @property
    def architecture(self) -> str:
        """`orthogonal`, `linear` or `mlp`."""
        return str(self.document["architecture"])

    @property
    def unit_input(self) -> bool:
        """Whether every vector of the sample had length 1."""
        return bool(self.document["unit_input"])

    @cached_property
    def rotation(self) -> Floats:
        """Uncentred PCA rotation of the sample, float32 (d, d), columns by falling variance."""
        return np.asarray(load_tensors(self.pca)["rotation"], np.float32)

    def transform(self, vectors: ArrayLike, *, dim: int) -> Floats:
        """Adapt vectors and keep the first `dim` columns.

        Takes (n, d), or one vector (d,), of any float or integer type, as an array or as lists; gives float32 (n, dim),
        or (dim,). For the cosine metric the length of the input does not matter and every row of the output has length
        1 (a zero row stays zero). Only the columns that are kept are computed. Dims up to `head_dim` are prefixes of
        one another, and so are the wider ones; `truncate` goes from wide to narrow.

        Raises InputError on ragged lists and texts, on another shape, on a dim outside 1..d, and on a row with NaN or
        infinity (named).
        """
        rows = as_numbers(vectors)
        if rows.ndim not in (1, 2) or rows.shape[-1] != self.input_dim:
            d = self.input_dim
            raise InputError(f"vectors have shape {rows.shape}, but this adaptor takes (n, {d}), or one vector ({d},)")
        return self.transform_rows(np.atleast_2d(rows), dim=dim).reshape(*rows.shape[:-1], dim)

    def transform_rows(self, vectors: NDArray[Any], *, dim: int, squares: Floats | None = None) -> Floats:
        """What `transform` does, without a look at the shape: (n, d) of any float or integer type → float32 (n, dim).

        `squares` (n,) are the squared lengths, where they are known. Raises InputError for the dim and for a row.
        """
        return self.projection(dim).transform_rows(vectors, squares)

    def projection(self, dim: int) -> Projection:
        """The map to outputs of this dim. Raises InputError for a dim outside 1..d."""
        if not 1 <= dim <= self.input_dim:
            raise InputError(f"dim is {dim}, but this adaptor gives 1 to {self.input_dim} columns")
        if "hidden_weight" not in self.tensors:
            return Projection(self.columns(dim), self.metric)
        t = self.tensors
        perceptron = Perceptron(
            t["hidden_weight"], t["hidden_bias"], t["output_weight"][:, :dim], t["output_bias"][:dim]
        )
        return Projection(self.columns(dim), self.metric, perceptron)

    def codec(self, *, dim: int, encoding: str) -> Codec:
        """How vectors are stored in few bits at this dim (codec.py lists the encodings).

        Raises InputError for an unknown encoding, a dim that it cannot have, where the fit left no codes for it, and
        where the canary vectors come out otherwise than at the fit.
        """
        codec = open_codec(self.projection(dim), self.codes, encoding, self._rotated)
        check_codec(self.canary, codec, f"adaptor {self.adaptor_id[:16]}")
        return codec

    @cached_property
    def _rotated(self) -> dict[int, Rotated]:
        """What `codec` has opened, by dim."""
        return {}

    def __getstate__(self) -> dict[str, Any]:
        """The fields alone: what is computed from them need not travel."""
        return {name: vars(self)[name] for name in self.__dataclass_fields__}

    def truncate(self, adapted: ArrayLike, *, dim: int) -> Floats:
        """Shorten what `transform` gave: (n, m) or (m,) → float32 (n, dim) or (dim,), equal to `transform` of the
        originals at that dim within rounding.

        Raises InputError as `transform` does, and when m columns do not tell: `dim` above m, or one of the
        low-dimensional head while m is neither its own nor at least the `len(head)` columns that it is made of.
        """
        rows = as_numbers(adapted)
        if rows.ndim not in (1, 2) or rows.shape[-1] > self.input_dim:
            raise InputError(f"vectors have shape {rows.shape}, but this adaptor gives (n, 1 to {self.input_dim})")
        columns, from_head = rows.shape[-1], dim <= self.head_dim < rows.shape[-1]
        made_of = len(self.tensors["head"]) if from_head else 0
        if not 1 <= dim <= columns or columns < made_of:
            enough = f" (it takes {made_of} for that)" if from_head else ""
            raise InputError(f"{columns} columns cannot be truncated to {dim}{enough}; transform the original vectors")
        short = np.empty((*rows.shape[:-1], dim), np.float32)
        for part, block in row_blocks(np.atleast_2d(rows)):
            shortened = np.atleast_2d(short)[part]
            shortened[:] = block[:, :made_of] @ self.tensors["head"][:, :dim] if from_head else block[:, :dim]
            normalise(shortened, self.metric)
        return short

    @property
    def head_dim(self) -> int:
        """Outputs of at most so many columns go through the low-dimensional head; 0 when there is none."""
        return self.tensors["head"].shape[1] if "head" in self.tensors else 0

    def columns(self, dim: int) -> Floats:
        """The matrix that gives outputs of this dim, float32 (d, dim); for the mlp architecture its linear part."""
        return (self._head_columns if dim <= self.head_dim else self.tensors["linear"])[:, :dim]

    @cached_property
    def _head_columns(self) -> Floats:
        with np.errstate(all="ignore"):  # weights that are no numbers give vectors that are none, as in wide outputs
            head = self.tensors["head"].astype(np.float64)
            return np.asarray(self.tensors["linear"][:, : len(head)].astype(np.float64) @ head, np.float32)

    def to_files(self) -> dict[str, bytes]:
        """The artefact's files by name."""
        files = {
            WEIGHTS: save_tensors({k: np.ascontiguousarray(v) for k, v in self.tensors.items()}),
            DOCUMENT: json.dumps(self.document, indent=2, sort_keys=True, allow_nan=False).encode() + b"\n",
            PCA: self.pca,
            CODES: save_tensors(dict(self.codes)),
            CANARY: save_tensors(dict(self.canary)),
        }
        return {name: files[name] for name in required_files(self.document)}
