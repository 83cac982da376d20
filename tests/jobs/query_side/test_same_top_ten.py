"""One adaptor, every format: what each makes of the queries of SciFact finds the same ten documents."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from adaptor.codec import Codec
from adaptor.query_side.exported import open_query_side
from adaptor.query_side.faiss import open_faiss
from adaptor.query_side.langchain import ShortEmbeddings
from adaptor.query_side.llamaindex import ShortEmbedding
from adaptor.query_side.onnx import open_onnx
from adaptor.rows import Floats
from jobs.query_side.registry import QUERY_FORMATS
from tests.jobs.query_side.exports import LangChainModel, LlamaIndexModel, export
from tests.scifact_adaptor import SCIFACT, scifact_adaptor, vectors_of

DIM = 128


def by_onnx(folder: Path, queries: Floats) -> Floats:
    """What onnxruntime makes of queries."""
    return np.asarray(open_onnx(folder / "query_side.onnx").run(["transformed"], {"vectors": queries})[0])


def by_sentence_transformers(folder: Path, queries: Floats) -> Floats:
    """What the modules make of queries, loaded without any code of ours."""
    model = SentenceTransformer(str(folder), device="cpu")
    with torch.no_grad():
        return np.asarray(model({"sentence_embedding": torch.from_numpy(queries)})["sentence_embedding"].numpy())


def by_faiss(folder: Path, queries: Floats) -> Floats:
    """What the transforms before the index make of queries."""
    index = open_faiss(folder)
    index.add(queries)
    return np.asarray(index.index.reconstruct_n(0, len(queries)))


def by_langchain(folder: Path, queries: Floats) -> Floats:
    """What LangChain embeddings give for each text."""
    embeddings = ShortEmbeddings(LangChainModel(queries), open_query_side(folder))
    return np.array([embeddings.embed_query(str(row)) for row in range(len(queries))], np.float32)


def by_llamaindex(folder: Path, queries: Floats) -> Floats:
    """What a LlamaIndex embedding model gives for each text."""
    inner = LlamaIndexModel(rows=queries.tolist(), model_name="rows")
    model = ShortEmbedding(inner, open_query_side(folder))
    return np.array([model.get_query_embedding(str(row)) for row in range(len(queries))], np.float32)


def by_matrix(folder: Path, queries: Floats) -> Floats:
    """What anybody makes of the matrix: a product, and unit length."""
    short = queries @ np.load(folder / "matrix.npy")
    return np.asarray(short / np.linalg.norm(short, axis=1, keepdims=True), np.float32)


MADE_BY: dict[str, Callable[[Path, Floats], Floats]] = {
    "onnx": by_onnx,
    "sentence-transformers": by_sentence_transformers,
    "langchain": by_langchain,
    "llamaindex": by_llamaindex,
    "faiss": by_faiss,
    "matrix": by_matrix,
}


@pytest.mark.parametrize("encoding", ["float32", "int8", "int2", "binary"])
def test_all_formats_find_the_same_ten(encoding: str, tmp_path: Path) -> None:
    assert set(MADE_BY) == set(QUERY_FORMATS)
    codec = scifact_adaptor().codec(dim=DIM, encoding=encoding)
    queries, codes = vectors_of(SCIFACT / "queries.parquet")[:300], codec.encode(vectors_of(SCIFACT / "corpus"))
    expected = codec.transform(queries)
    for name, made_by in MADE_BY.items():
        folder = export(scifact_adaptor(), tmp_path, name, dim=DIM, encoding=encoding)
        made = made_by(folder, queries)
        if encoding == "int8" and name in ("langchain", "llamaindex"):  # numbers for a store that compares codes
            np.testing.assert_array_equal(made, np.stack([codec.encode(query) for query in queries]))
            made = codec.reconstruct(made.astype(np.int8))
            assert_same_ten(codec, codes, made, codec.reconstruct(codec.encode(queries)))
        else:
            np.testing.assert_allclose(made, expected, atol=1e-6)
            assert_same_ten(codec, codes, made, expected)


def assert_same_ten(codec: Codec, codes: Any, made: Floats, expected: Floats) -> None:
    """The ten nearest of `made` queries (q, dim) are those of the `expected` ones, but for exchanged ties."""
    ours, theirs = (codec.score_transformed(queries, codes) for queries in (made, expected))
    found, wanted = (np.argsort(-scores, axis=1, kind="stable")[:, :10] for scores in (ours, theirs))
    for row in np.flatnonzero((found != wanted).any(axis=1)):
        np.testing.assert_allclose(theirs[row, found[row]], theirs[row, wanted[row]], atol=2e-6)
    assert (found == wanted).mean() > 0.999
    assert found.shape == (300, 10)
