"""Vectors as JSON text: floats with the fewest digits that give the same float32 again, codes as whole numbers."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adaptor.quantisers import Codes


def json_vectors(codes: Codes) -> list[str]:
    """Codes (n, width) as JSON arrays; packed bits as signed bytes, as the importers read them."""
    if codes.dtype == np.uint8:
        codes = codes.view(np.int8)
    flat = np.ascontiguousarray(codes.astype(np.float32) if codes.dtype.kind == "f" else codes).reshape(-1)
    texts = pc.cast(pa.array(flat), pa.string()).to_pylist()
    width = codes.shape[1]
    return [f"[{','.join(texts[start : start + width])}]" for start in range(0, len(texts), width)]
