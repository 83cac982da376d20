"""The query side as `.npy` files: what adaptor/query_side/exported.py reads, and any language with a matrix product."""

from __future__ import annotations

import io

import numpy as np

from adaptor.query_side.exported import MATRIX, PERCEPTRON, QuerySide
from adaptor.rows import Floats


class MatrixFormat:
    """`matrix.npy` (d, m), little-endian float32 by rows, and what the mlp architecture has besides."""

    usage = (
        "from adaptor.query_side.exported import open_query_side\n"
        'side = open_query_side("{folder}")\n'
        "short, codes = side.transform(queries), side.encode(documents)\n"
    )

    def files(self, side: QuerySide) -> dict[str, bytes]:
        """One file for each matrix."""
        projection, names = side.codec.projection, [MATRIX]
        tensors = [projection.columns]
        if (perceptron := projection.perceptron) is not None:
            names += PERCEPTRON
            tensors += [
                perceptron.hidden_weight,
                perceptron.hidden_bias,
                perceptron.output_weight,
                perceptron.output_bias,
            ]
        return {name: _npy(tensor) for name, tensor in zip(names, tensors, strict=True)}


class LangChainFormat(MatrixFormat):
    """The same files; adaptor/query_side/langchain.py makes embeddings of them."""

    usage = (
        "from adaptor.query_side.exported import open_query_side\n"
        "from adaptor.query_side.langchain import ShortEmbeddings\n"
        'embeddings = ShortEmbeddings(your_embeddings, open_query_side("{folder}"))\n'
    )


class LlamaIndexFormat(MatrixFormat):
    """The same files; adaptor/query_side/llamaindex.py makes an embedding model of them."""

    usage = (
        "from adaptor.query_side.exported import open_query_side\n"
        "from adaptor.query_side.llamaindex import ShortEmbedding\n"
        'embed_model = ShortEmbedding(your_embed_model, open_query_side("{folder}"))\n'
    )


def _npy(tensor: Floats) -> bytes:
    """An array as a .npy file, in C order."""
    stream = io.BytesIO()
    np.save(stream, np.ascontiguousarray(tensor, "<f4"))
    return stream.getvalue()
