"""The query side as an empty faiss index behind the adaptor's map."""

from __future__ import annotations

import faiss

from adaptor.faiss_index import build_index
from adaptor.query_side.description import FAISS
from adaptor.query_side.exported import QuerySide


class FaissFormat:
    """An `IndexPreTransform`: LinearTransform, for cosine NormalizationTransform, and a flat index of short vectors."""

    usage = (
        "from adaptor.query_side.faiss import open_faiss\n"
        'index = open_faiss("{folder}")\n'
        "index.add(documents); scores, rows = index.search(queries, 10)\n"
    )

    def files(self, side: QuerySide) -> dict[str, bytes]:
        """One file. Raises InputError for the mlp architecture, which faiss cannot compute."""
        return {FAISS: faiss.serialize_index(build_index(side.codec, [])).tobytes()}
