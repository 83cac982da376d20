"""The fitted adaptor as files and as a numpy function: what compress, evaluate and a query service all use.

An artefact is three files. `adaptor.safetensors` holds the map in its folded form, `adaptor.json` says what it is and
carries the evidence, `pca.safetensors` holds the uncentred PCA rotation, kept as the baseline that evaluate compares
with. The adaptor id is a hash of the weights and of every setting that shaped them; it is checked at every load.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from adaptor.errors import InputError
from adaptor.identity import (
    DOCUMENT,
    FILES,
    FORMAT,
    PCA,
    WEIGHTS,
    canonical,
    check_document,
    check_shapes,
    checksum,
    identity,
    sha256,
)
from adaptor.rows import Floats, as_numbers, rescale_rows, scale
from adaptor.settings import Metric

#: Rows that pass through at once; bounds the memory of `transform` and keeps the block in the processor's cache.
_BLOCK_ROWS = 4096
#: What looks like the address of an object store, also after a Path has taken one of its slashes.
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


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
        if not 1 <= dim <= self.input_dim:
            raise InputError(f"dim is {dim}, but this adaptor gives 1 to {self.input_dim} columns")
        short = np.empty((len(vectors), dim), np.float32)
        for rows, block in _blocks(vectors):
            lengths = np.einsum("nd,nd->n", block, block) if squares is None else squares[rows]
            self._adapt(self._rescaled(block, lengths, rows.start), short[rows])
            self._normalise(short[rows])
        return short

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
        for part, block in _blocks(np.atleast_2d(rows)):
            shortened = np.atleast_2d(short)[part]
            shortened[:] = block[:, :made_of] @ self.tensors["head"][:, :dim] if from_head else block[:, :dim]
            self._normalise(shortened)
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

    def _rescaled(self, block: Floats, squares: Floats, first_row: int) -> Floats:
        """Rows (r, d) that the map can take: finite, and of a length (cosine's does not matter) that it needs."""
        if not np.isfinite(squares).all():
            row = first_row + int(np.flatnonzero(~np.isfinite(squares))[0])
            raise InputError(f"row {row} holds NaN, infinity or overflows float32; remove it before transforming")
        if self.metric != "cosine":
            return block
        return block * scale(np.sqrt(squares)) if self.architecture == "mlp" else rescale_rows(block, squares)

    def _adapt(self, block: Floats, short: Floats) -> None:
        dim = short.shape[1]
        np.matmul(block, self.columns(dim), out=short)
        if "hidden_weight" in self.tensors:
            hidden = np.maximum(block @ self.tensors["hidden_weight"] + self.tensors["hidden_bias"], 0)
            short += hidden @ self.tensors["output_weight"][:, :dim] + self.tensors["output_bias"][:dim]

    def _normalise(self, short: Floats) -> None:
        if self.metric == "cosine":
            short *= scale(np.sqrt(np.einsum("nd,nd->n", short, short)))

    def to_files(self) -> dict[str, bytes]:
        """The artefact's files by name."""
        return {
            WEIGHTS: save_tensors({k: np.ascontiguousarray(v) for k, v in self.tensors.items()}),
            DOCUMENT: json.dumps(self.document, indent=2, sort_keys=True, allow_nan=False).encode() + b"\n",
            PCA: self.pca,
        }


def _blocks(vectors: NDArray[Any]) -> Iterator[tuple[slice, Floats]]:
    """Stretches of rows, and what stands there as contiguous float32."""
    for start in range(0, len(vectors), _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinity, and is refused by row
            block = np.ascontiguousarray(vectors[rows], dtype=np.float32)
        yield rows, block


def build(description: Mapping[str, Any], tensors: Mapping[str, Floats], rotation: Floats) -> Adaptor:
    """Make an adaptor from a description (the document without hashes), folded tensors and the PCA rotation (d, d)."""
    tensors = {name: np.ascontiguousarray(t, np.float32) for name, t in tensors.items()}
    pca = save_tensors({"rotation": np.ascontiguousarray(rotation, np.float32)})
    document = {
        "format": FORMAT,
        **description,
        "weights_sha256": sha256(save_tensors(tensors)),
        "pca_sha256": sha256(pca),
    }
    document["adaptor_id"] = identity(document)
    document["checksum"] = checksum(document)
    return Adaptor(json.loads(canonical(document)), tensors, pca)


def load(path: str | Path) -> Adaptor:
    """Read an artefact from a local folder. Raises InputError when a file is missing, damaged or does not fit the
    others, and for the URI of an object store."""
    if _URI.match(str(path)):
        raise InputError(
            f"{path} is a URI, and load reads local folders only: copy {', '.join(FILES)} into a folder, or read them "
            "with your own client and give their bytes by name to adaptor.from_files"
        )
    folder = Path(path)
    files = {name: (folder / name).read_bytes() for name in FILES if (folder / name).is_file()}
    return from_files(files, where=str(folder))


def from_files(files: Mapping[str, bytes], where: str = "artefact") -> Adaptor:
    """Read an artefact from its files' bytes; `where` names it in errors. Raises InputError as `load` does."""
    if missing := [name for name in FILES if name not in files]:
        raise InputError(
            f"{where}: no adaptor here: {', '.join(missing)} missing; give the folder that `matryoshka fit` wrote"
        )
    try:
        document = json.loads(files[DOCUMENT])
    except ValueError as problem:
        raise InputError(f"{where}/{DOCUMENT} is not JSON ({problem}); restore the file or fit again") from problem
    check_document(document, files, where)
    try:
        tensors = load_tensors(files[WEIGHTS])
    except (SafetensorError, ValueError) as problem:
        raise InputError(
            f"{where}/{WEIGHTS} is not safetensors ({problem}); restore the file or fit again"
        ) from problem
    check_shapes(document, tensors, where)
    return Adaptor(document, tensors, files[PCA])
