"""What an exported query side says about itself, in `query_side.json` and wherever a format can carry a text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from adaptor.adaptor import Adaptor
from adaptor.canary import check_codes, check_numbers, draw
from adaptor.codec import BITS, Codec, open_quantiser
from adaptor.errors import InputError
from adaptor.quantisers import Codes, MidRise, Quantiser, SymmetricInt8
from adaptor.rows import Floats
from adaptor.settings import Metric, Settings

DESCRIPTION = "query_side.json"
#: The files of two formats.
ONNX, FAISS = "query_side.onnx", "query_side.faiss"
#: Keys by which what is stored is told apart.
STAMPS = ("adaptor_id", "dim", "encoding")

Rows = Annotated[tuple[tuple[float, ...], ...], Field(min_length=1)]
#: More numbers than a vector has.
_MOST_DIMS = 1 << 20


class ExportedCanary(Settings):
    """The canary vectors and what the adaptor made of them at the export."""

    vectors: Rows
    """Original vectors (n, input_dim)."""
    transformed: Rows
    """Short vectors (n, dim), in the coordinates of the codes."""
    codes: Rows
    """Their codes (n, width)."""


class Description(Settings):
    """An exported query side: one adaptor, dim and encoding."""

    format: Literal[1] = 1
    """Version of this description."""
    adaptor_id: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """The adaptor that it was made of."""
    input_dim: int = Field(ge=1, le=_MOST_DIMS)
    """Numbers of a vector that it takes."""
    dim: int = Field(ge=1, le=_MOST_DIMS)
    """Numbers of a short vector."""
    metric: Metric
    """How short vectors are compared; for cosine they have length 1."""
    encoding: Literal["float32", "float16", "int8", "uint8", "int4", "int2", "binary"]
    """How they are stored."""
    step: float | None = None
    """Distance of two levels of the codes; null for floats."""
    centre: tuple[float, ...] | None = None
    """Middle of the levels of each number, for int4, int2 and binary."""
    files: dict[str, str] = {}  # noqa: RUF012  # pydantic copies it
    """SHA-256 of the other files, by name."""
    canary: ExportedCanary

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        rows = len(self.canary.vectors)
        shapes = {"vectors": self.input_dim, "transformed": self.dim, "codes": self.quantiser.width}
        for name, width in shapes.items():
            part = getattr(self.canary, name)
            if len(part) != rows or any(len(row) != width for row in part):
                raise ValueError(f"canary.{name} must be {rows} rows of {width} numbers")
        if (self.step is None) != (BITS[self.encoding] >= 16) or (self.centre is None) != (BITS[self.encoding] >= 8):
            raise ValueError(f"step and centre are not those of {self.encoding}")
        if self.centre is not None and len(self.centre) != self.dim:
            raise ValueError(f"centre must have {self.dim} numbers")
        return self

    @property
    def quantiser(self) -> Quantiser:
        """What makes codes of short vectors."""
        centre = np.zeros(self.dim, np.float32) if self.centre is None else np.array(self.centre, np.float32)
        return open_quantiser(self.encoding, self.step or 1.0, centre)

    @property
    def canary_vectors(self) -> Floats:
        """The original vectors of the canary, float32 (n, input_dim)."""
        return np.array(self.canary.vectors, np.float32)

    def check_canary(self, transformed: Floats, codes: Codes | None, engine: str) -> None:
        """Raise InputError where an engine (named so) makes other numbers (n, dim), or other codes (n, width), of the
        canary vectors than the export had.

        A number beside the border of two codes may go either way there: such codes pass.
        """
        who = f"{engine} of adaptor {self.adaptor_id[:16]} at dim {self.dim}"
        recorded = np.array(self.canary.transformed, np.float32)
        check_numbers(transformed, recorded, who)
        check_codes(self.quantiser.quantise(recorded), np.array(self.canary.codes), f"numpy as {self.encoding}")
        if codes is not None:
            check_codes(codes, self.quantiser.quantise(transformed), f"{who} as {self.encoding}")

    def check_index(self, stamps: Mapping[str, Any]) -> None:
        """Raise InputError unless an index that carries these stamps is of this adaptor, dim and encoding.

        `stamps` are what `output_version.json` says, or what a loader put into a collection's metadata; those that are
        missing are named.
        """
        for name in STAMPS:
            mine, stored = getattr(self, name), stamps.get(name)
            if str(mine) != str(stored):
                raise InputError(
                    f"the index has {name} {stored!r}, this query side {mine!r}: what they hold must not be compared; "
                    "write the query side that belongs to the index (matryoshka query-side --index.uri …)"
                )

    def to_json(self) -> bytes:
        """One JSON object."""
        return self.model_dump_json().encode() + b"\n"


def describe(adaptor: Adaptor, codec: Codec) -> Description:
    """The description of one codec of an adaptor; its files are added by who writes them."""
    vectors = np.asarray(adaptor.canary.get("vectors", draw(adaptor.input_dim)), np.float32)
    transformed, quantiser = codec.transform(vectors), codec.quantiser
    return Description(
        adaptor_id=adaptor.adaptor_id,
        input_dim=adaptor.input_dim,
        dim=codec.dim,
        metric=adaptor.metric,
        encoding=codec.encoding,  # type: ignore[arg-type]  # a codec has one of these names
        step=quantiser.step if isinstance(quantiser, MidRise | SymmetricInt8) else None,
        centre=tuple(quantiser.centre.tolist()) if isinstance(quantiser, MidRise) else None,
        canary=ExportedCanary(
            vectors=_rows(vectors), transformed=_rows(transformed), codes=_rows(quantiser.quantise(transformed))
        ),
    )


def parse_description(content: str | bytes, where: str) -> Description:
    """The description in a text; `where` names it. Raises InputError when it is none."""
    try:
        return Description.model_validate(json.loads(content), strict=False)
    except (ValueError, RecursionError) as problem:  # pydantic's errors are the former
        raise InputError(f"{where} does not describe a query side ({problem}); write it again") from problem


def read_description(folder: str | Path) -> Description:
    """The description in a folder that `matryoshka query-side` wrote. Raises InputError when there is none."""
    path = Path(folder) / DESCRIPTION
    if not path.is_file():
        raise InputError(f"{path} is missing: give the folder that `matryoshka query-side` wrote")
    return parse_description(path.read_bytes(), str(path))


def _rows(matrix: np.ndarray[Any, Any]) -> Rows:
    return tuple(tuple(row) for row in matrix.tolist())
