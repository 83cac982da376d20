"""The query side as Sentence Transformers modules, checked. Needs the extra `sentence-transformers`.

The folder needs no package of ours: `model.extend(SentenceTransformer("out/query-side"))` does the same unchecked.

model = behind(SentenceTransformer("the model of the source"), "out/query-side")
short = model.encode(texts)  # float32 (n, dim), in the coordinates of the codes
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from adaptor.errors import InputError
from adaptor.query_side.description import read_description


def behind(model: SentenceTransformer, folder: str | Path, index: Mapping[str, Any] | None = None) -> Any:
    """The model with the modules of the folder behind its own: `encode` gives short vectors, `save` keeps all of it.
    `index` are the stamps of the index that is searched (`Description.check_index`).

    Raises InputError when the model gives vectors of another dimension, when the folder holds no query side, when the
    canary vectors come out otherwise than at the export, and when the index belongs to another query side.
    """
    description = read_description(folder)
    if index is not None:
        description.check_index(index)
    given = model.get_embedding_dimension()
    if given is not None and given != description.input_dim:
        raise InputError(
            f"the model gives {given} numbers, adaptor {description.adaptor_id[:16]} takes {description.input_dim}: "
            "give the model that the source was embedded with"
        )
    modules = SentenceTransformer(str(folder), device="cpu")
    with torch.no_grad():
        features = modules({"sentence_embedding": torch.from_numpy(description.canary_vectors)})
    transformed = np.asarray(features["sentence_embedding"].numpy(), np.float32)
    description.check_canary(transformed, None, "the Sentence Transformers modules")
    return SentenceTransformer(modules=[*model, *modules], device=str(model.device))
