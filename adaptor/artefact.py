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
from adaptor.rows import Floats, scale, tame_rows
from adaptor.settings import Metric

#: Rows that pass through at once; bounds the memory of `transform` and keeps the block in the processor's cache.
_BLOCK_ROWS = 4096


@dataclass(frozen=True)
class Adaptor:
    """A fitted adaptor `ê = e + f(e)`, folded for application.

    `tensors` holds `linear` (d, d). The orthogonal form may add `narrow` (b, c): outputs of at most c columns are
    (e·linear)[:b]·narrow, wider ones e·linear alone. The mlp form adds `hidden_weight` (d, h), `hidden_bias` (h,),
    `output_weight` (h, d) and `output_bias` (d,): ê = e·linear + relu(e·hidden_weight + hidden_bias)·output_weight +
    output_bias. All are float32.
    """

    document: dict[str, Any]
    tensors: Mapping[str, Floats]
    pca: bytes = field(repr=False)

    @property
    def adaptor_id(self) -> str:
        """Hash of weights and settings, 64 hexadecimal digits."""
        return str(self.document["adaptor_id"])

    @property
    def dim(self) -> int:
        """Dimension d of the vectors it takes."""
        return int(self.document["dim"])

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths it was trained for, ascending."""
        return tuple(self.document["widths"])

    @property
    def metric(self) -> Metric:
        """Similarity that it was fitted for."""
        metric: Metric = self.document["metric"]
        return metric

    @property
    def form(self) -> str:
        """`orthogonal`, `linear` or `mlp`."""
        return str(self.document["form"])

    @property
    def unit_input(self) -> bool:
        """Whether every vector of the sample had length 1."""
        return bool(self.document["unit_input"])

    @cached_property
    def rotation(self) -> Floats:
        """Uncentred PCA rotation of the sample, float32 (d, d), columns by falling variance."""
        return np.asarray(load_tensors(self.pca)["rotation"], np.float32)

    def transform(self, vectors: NDArray[np.floating[Any]], width: int, squares: Floats | None = None) -> Floats:
        """Adapt vectors and keep the first `width` columns.

        Takes (n, d) of any float type, gives float32 (n, width). For the cosine metric the length of the input does not
        matter and every row of the output has length 1 (a zero row stays zero). Only the columns that are kept are
        computed. Raises InputError on another shape, a width outside 1..d, or a row with NaN or infinity (named).
        Widths up to `narrow_width` are prefixes of one another, and so are the wider ones; `cut` goes from wide to
        narrow. Who knows the squared lengths of the rows, float32 (n,), saves a pass over them.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.dim:
            raise InputError(f"vectors have shape {vectors.shape}, but this adaptor takes (n, {self.dim})")
        if not 1 <= width <= self.dim:
            raise InputError(f"width is {width}, but this adaptor gives 1 to {self.dim} columns")

        def transform_block(block: Floats, short: Floats, first_row: int) -> None:
            """Rows (r, d) to `short` (r, width), cosine's as long as they come out."""
            known = None if squares is None else squares[first_row : first_row + len(block)]
            self._adapt(self._tame(block, known, first_row), short)

        return self._by_block(vectors, transform_block, width)

    def cut(self, adapted: NDArray[np.floating[Any]], width: int) -> Floats:
        """Shorten what `transform` gave: float (n, m) → float32 (n, width), equal to `transform` of the originals at
        that width within rounding.

        Raises InputError when m columns do not tell: `width` above m, or narrow while m is neither narrow nor at least
        the `len(narrow)` columns that narrow ones are made of.
        """
        if adapted.ndim != 2 or adapted.shape[1] > self.dim:
            raise InputError(f"vectors have shape {adapted.shape}, but this adaptor gives (n, 1 to {self.dim})")
        given, narrow = adapted.shape[1], self.narrow_width
        made_of = len(self.tensors["narrow"]) if narrow else 0
        if not 1 <= width <= given or (width <= narrow < given < made_of):
            enough = f" (it takes {made_of} for that)" if width <= narrow < given < made_of else ""
            raise InputError(f"{given} columns cannot be cut to {width}{enough}; transform the original vectors")

        def cut_block(block: Floats, short: Floats, first_row: int) -> None:
            """Rows (r, m) to `short` (r, width)."""
            if width <= narrow < given:
                np.matmul(block[:, :made_of], self.tensors["narrow"][:, :width], out=short)
            else:
                short[:] = block[:, :width]

        return self._by_block(adapted, cut_block, width)

    @property
    def narrow_width(self) -> int:
        """Outputs of at most so many columns go through the narrow map; 0 when there is none."""
        return self.tensors["narrow"].shape[1] if "narrow" in self.tensors else 0

    def columns(self, width: int) -> Floats:
        """The matrix that gives outputs of this width, float32 (d, width); for the mlp form its linear part."""
        return (self._narrow_columns if width <= self.narrow_width else self.tensors["linear"])[:, :width]

    @cached_property
    def _narrow_columns(self) -> Floats:
        with np.errstate(all="ignore"):  # weights that are no numbers give vectors that are none, as in wide outputs
            narrow = self.tensors["narrow"].astype(np.float64)
            return np.asarray(self.tensors["linear"][:, : len(narrow)].astype(np.float64) @ narrow, np.float32)

    def _by_block(
        self, vectors: NDArray[np.floating[Any]], convert: Callable[[Floats, Floats, int], None], width: int
    ) -> Floats:
        """`convert` fills a block of the result from one of the vectors, whose first row it is told."""
        short = np.empty((len(vectors), width), np.float32)
        for start in range(0, len(vectors), _BLOCK_ROWS):
            block = np.ascontiguousarray(vectors[start : start + _BLOCK_ROWS], dtype=np.float32)
            result = short[start : start + _BLOCK_ROWS]
            convert(block, result, start)
            if self.metric == "cosine":
                result *= scale(np.sqrt(np.einsum("nd,nd->n", result, result)))
        return short

    def _tame(self, block: Floats, squares: Floats | None, first_row: int) -> Floats:
        """Rows (r, d) that the map can take: finite, and of a length (cosine's does not matter) that it needs."""
        if squares is None:
            squares = np.einsum("nd,nd->n", block, block)
        if not np.isfinite(squares).all():
            row = first_row + int(np.flatnonzero(~np.isfinite(squares))[0])
            raise InputError(f"row {row} holds NaN, infinity or overflows float32; remove it before transforming")
        if self.metric != "cosine":
            return block
        return block * scale(np.sqrt(squares)) if self.form == "mlp" else tame_rows(block, squares)

    def _adapt(self, block: Floats, short: Floats) -> None:
        width = short.shape[1]
        np.matmul(block, self.columns(width), out=short)
        if "hidden_weight" in self.tensors:
            hidden = np.maximum(block @ self.tensors["hidden_weight"] + self.tensors["hidden_bias"], 0)
            short += hidden @ self.tensors["output_weight"][:, :width] + self.tensors["output_bias"][:width]

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
