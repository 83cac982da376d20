"""The query side as faiss reads it: an empty index behind the adaptor's map. Needs the extra `cpu` or `gpu`.

index = open_faiss("out/query-side")
index.add(documents); scores, rows = index.search(queries, 10)  # original vectors (n, d), float32
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from adaptor.errors import InputError
from adaptor.query_side.description import FAISS, read_description
from adaptor.query_side.exported import read_whole


def open_faiss(folder: str | Path, index: Mapping[str, Any] | None = None) -> Any:
    """The `IndexPreTransform` in the folder: it takes original vectors, and holds short ones in `index.index`. `index`
    are the stamps of the index that is searched (`Description.check_index`).

    Raises InputError when a file is missing or damaged, when the canary vectors come out otherwise than at the export,
    and when the index belongs to another query side.
    """
    description = read_description(folder)
    if index is not None:
        description.check_index(index)
    content = read_whole(Path(folder) / FAISS, description.files.get(FAISS))
    try:
        behind: Any = faiss.deserialize_index(np.frombuffer(content, np.uint8))
        transformed = description.canary_vectors
        for number in range(behind.chain.size()):
            transformed = behind.chain.at(number).apply(transformed)
    except (RuntimeError, AssertionError, AttributeError) as problem:
        raise InputError(f"{folder}/{FAISS}: faiss cannot use it ({problem}); write it again") from problem
    description.check_canary(transformed, None, "the faiss index")
    return behind
