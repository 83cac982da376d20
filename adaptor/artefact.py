"""The fitted adaptor as files and as a numpy function: what compress, evaluate and a query service all use.

An artefact is three files. `adaptor.safetensors` holds the map in its folded form, `adaptor.json` says what it is and
carries the evidence, `pca.safetensors` holds the uncentred PCA rotation, kept as the baseline that evaluate compares
with. The adaptor id is a hash of the weights and of every setting that shaped them; it is checked at every load.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
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
from adaptor.rows import Floats, rescale_rows, scale
from adaptor.settings import Metric

#: Rows that pass through at once; bounds the memory of `transform` and keeps the block in the processor's cache.
_BLOCK_ROWS = 4096


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

    def transform(self, vectors: NDArray[np.floating[Any]], dim: int, squares: Floats | None = None) -> Floats:
        """Adapt vectors and keep the first `dim` columns.

        Takes (n, d) of any float type, gives float32 (n, dim). For the cosine metric the length of the input does not
        matter and every row of the output has length 1 (a zero row stays zero). Only the columns that are kept are
        computed. Raises InputError on another shape, a dim outside 1..d, or a row with NaN or infinity (named).
        Dims up to `head_dim` are prefixes of one another, and so are the wider ones; `cut` goes from wide to
        head. Who knows the squared lengths of the rows, float32 (n,), saves a pass over them.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.input_dim:
            raise InputError(f"vectors have shape {vectors.shape}, but this adaptor takes (n, {self.input_dim})")
        if not 1 <= dim <= self.input_dim:
            raise InputError(f"dim is {dim}, but this adaptor gives 1 to {self.input_dim} columns")

        def transform_block(block: Floats, short: Floats, first_row: int) -> None:
            """Rows (r, d) to `short` (r, dim), cosine's as long as they come out."""
            known = None if squares is None else squares[first_row : first_row + len(block)]
            self._adapt(self._rescaled(block, known, first_row), short)

        return self._by_block(vectors, transform_block, dim)

    def cut(self, adapted: NDArray[np.floating[Any]], dim: int) -> Floats:
        """Shorten what `transform` gave: float (n, m) → float32 (n, dim), equal to `transform` of the originals at
        that dim within rounding.

        Raises InputError when m columns do not tell: `dim` above m, or narrow while m is neither head nor at least
        the `len(head)` columns that narrow ones are made of.
        """
        if adapted.ndim != 2 or adapted.shape[1] > self.input_dim:
            raise InputError(f"vectors have shape {adapted.shape}, but this adaptor gives (n, 1 to {self.input_dim})")
        given, head = adapted.shape[1], self.head_dim
        made_of = len(self.tensors["head"]) if head else 0
        if not 1 <= dim <= given or (dim <= head < given < made_of):
            enough = f" (it takes {made_of} for that)" if dim <= head < given < made_of else ""
            raise InputError(f"{given} columns cannot be cut to {dim}{enough}; transform the original vectors")

        def cut_block(block: Floats, short: Floats, first_row: int) -> None:
            """Rows (r, m) to `short` (r, dim)."""
            if dim <= head < given:
                np.matmul(block[:, :made_of], self.tensors["head"][:, :dim], out=short)
            else:
                short[:] = block[:, :dim]

        return self._by_block(adapted, cut_block, dim)

    @property
    def head_dim(self) -> int:
        """Outputs of at most so many columns go through the low-dimensional head; 0 when there is none."""
        return self.tensors["head"].shape[1] if "head" in self.tensors else 0

    def columns(self, dim: int) -> Floats:
        """The matrix that gives outputs of this dim, float32 (d, dim); for the mlp architecture its linear part."""
        return (self._narrow_columns if dim <= self.head_dim else self.tensors["linear"])[:, :dim]

    @cached_property
    def _narrow_columns(self) -> Floats:
        with np.errstate(all="ignore"):  # weights that are no numbers give vectors that are none, as in wide outputs
            head = self.tensors["head"].astype(np.float64)
            return np.asarray(self.tensors["linear"][:, : len(head)].astype(np.float64) @ head, np.float32)

    def _by_block(
        self, vectors: NDArray[np.floating[Any]], convert: Callable[[Floats, Floats, int], None], dim: int
    ) -> Floats:
        """`convert` fills a block of the result from one of the vectors, whose first row it is told."""
        short = np.empty((len(vectors), dim), np.float32)
        for start in range(0, len(vectors), _BLOCK_ROWS):
            block = np.ascontiguousarray(vectors[start : start + _BLOCK_ROWS], dtype=np.float32)
            result = short[start : start + _BLOCK_ROWS]
            convert(block, result, start)
            if self.metric == "cosine":
                result *= scale(np.sqrt(np.einsum("nd,nd->n", result, result)))
        return short

    def _rescaled(self, block: Floats, squares: Floats | None, first_row: int) -> Floats:
        """Rows (r, d) that the map can take: finite, and of a length (cosine's does not matter) that it needs."""
        if squares is None:
            squares = np.einsum("nd,nd->n", block, block)
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

    def to_files(self) -> dict[str, bytes]:
        """The artefact's files by name."""
        return {
            WEIGHTS: save_tensors({k: np.ascontiguousarray(v) for k, v in self.tensors.items()}),
            DOCUMENT: json.dumps(self.document, indent=2, sort_keys=True, allow_nan=False).encode() + b"\n",
            PCA: self.pca,
        }


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
    others."""
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
