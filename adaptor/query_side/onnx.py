"""The query side as onnxruntime reads it: one `.onnx` file. Needs the extra `onnx`.

session = open_onnx("out/query-side/query_side.onnx")
transformed, codes = session.run(None, {"vectors": queries})
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnxruntime

from adaptor.errors import InputError
from adaptor.query_side.description import DESCRIPTION, parse_description


def open_onnx(
    path: str | Path, index: Mapping[str, Any] | None = None, providers: Sequence[str] = ("CPUExecutionProvider",)
) -> Any:
    """An onnxruntime session of the file: `vectors` (n, d) float32 to `transformed` (n, dim) float32 and `codes`
    (n, width). `index` are the stamps of the index that is searched (`Description.check_index`).

    Raises InputError when there is no such file or its description is missing, when the canary vectors come out
    otherwise than at the export, and when the index belongs to another query side.
    """
    if not Path(path).is_file():
        raise InputError(f"{path} is missing: give the file that `matryoshka query-side onnx` wrote")
    try:
        session = onnxruntime.InferenceSession(str(path), providers=list(providers))
    except Exception as problem:  # its exceptions have no common base but this
        raise InputError(f"{path}: onnxruntime cannot read it ({problem}); write it again") from problem
    metadata = session.get_modelmeta().custom_metadata_map
    description = parse_description(metadata.get(DESCRIPTION, "null"), f"{path}: its metadata")
    if index is not None:
        description.check_index(index)
    transformed, codes = session.run(["transformed", "codes"], {"vectors": description.canary_vectors})
    description.check_canary(transformed, codes, "the ONNX file")
    return session
