"""LangChain and LlamaIndex with their own stores, and Sentence Transformers behind a model that is saved and loaded."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
import torch
from langchain_core.vectorstores import InMemoryVectorStore
from llama_index.core import VectorStoreIndex
from llama_index.core.schema import TextNode
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import BoW

from adaptor.codec import BITS
from adaptor.query_side.exported import query_side
from adaptor.query_side.langchain import ShortEmbeddings
from adaptor.query_side.llamaindex import ShortEmbedding
from adaptor.query_side.sentence_transformers import behind
from adaptor.rows import Floats, unit_rows
from tests.jobs.query_side.exports import LangChainModel, LlamaIndexModel, export
from tests.scifact_adaptor import SCIFACT, scifact_adaptor, vectors_of

DOCUMENTS, QUERIES = 400, 12
TEXTS = [str(row) for row in range(DOCUMENTS)]


def rows() -> Floats:
    """Documents, then queries: the text of each is its row."""
    documents = vectors_of(SCIFACT / "corpus")[:DOCUMENTS]
    return np.concatenate([documents, vectors_of(SCIFACT / "queries.parquet")[:QUERIES]])


def nearest(encoding: str, query: int) -> list[str]:
    """The ten nearest by numpy: codes with codes of 8 bits, a float query with decoded codes of fewer."""
    codec, vectors = scifact_adaptor().codec(dim=64, encoding=encoding), rows()
    decoded = unit_rows(codec.reconstruct(codec.encode(vectors)))
    asked = decoded if BITS[encoding] >= 8 else codec.transform(vectors)
    order = np.argsort(-(decoded[:DOCUMENTS] @ asked[DOCUMENTS + query]), kind="stable")
    return [str(row) for row in order[:10]]


@pytest.mark.parametrize("encoding", ["float32", "float16", "int8", "int4", "binary"])
def test_a_store_of_langchain_finds_the_nearest(encoding: str) -> None:
    side = query_side(scifact_adaptor(), dim=64, encoding=encoding)
    store = InMemoryVectorStore(ShortEmbeddings(LangChainModel(rows()), side))
    assert store.embeddings.embed_documents([]) == []
    store.add_texts(TEXTS[:200])
    asyncio.run(store.aadd_texts(TEXTS[200:]))
    for query in range(QUERIES):
        found = [document.page_content for document in store.similarity_search(str(DOCUMENTS + query), k=10)]
        assert found == nearest(encoding, query)
    late = asyncio.run(store.asimilarity_search(str(DOCUMENTS), k=10))
    assert [document.page_content for document in late] == nearest(encoding, 0)


@pytest.mark.parametrize("encoding", ["float32", "int8", "int2"])
def test_an_index_of_llamaindex_finds_the_nearest(encoding: str) -> None:
    side = query_side(scifact_adaptor(), dim=64, encoding=encoding)
    model = ShortEmbedding(LlamaIndexModel(rows=rows().tolist(), model_name="model"), side)
    assert model.model_name == f"model > {scifact_adaptor().adaptor_id[:16]}-d64-{encoding}"
    index = VectorStoreIndex(nodes=[TextNode(text=text) for text in TEXTS], embed_model=model)
    retriever = index.as_retriever(similarity_top_k=10)
    for query in range(QUERIES):
        found = [hit.node.get_content() for hit in retriever.retrieve(str(DOCUMENTS + query))]
        assert found == nearest(encoding, query)
    late = asyncio.run(retriever.aretrieve(str(DOCUMENTS)))
    assert [hit.node.get_content() for hit in late] == nearest(encoding, 0)
    one = asyncio.run(model.aget_text_embedding("7"))
    assert one == model.get_text_embedding("7") == side.stored_numbers(rows()[7])[0]


@pytest.mark.parametrize("architecture", ["linear", "mlp"])
def test_a_model_with_the_modules_behind_it_is_saved_and_loaded(architecture: str, tmp_path: Path) -> None:
    fitted = scifact_adaptor(architecture=architecture)
    folder = export(fitted, tmp_path, "sentence-transformers", dim=64, encoding="binary")
    bow = BoW(vocab=[f"w{word}" for word in range(384)], word_weights={f"w{word}": 1 + word for word in range(384)})
    model = SentenceTransformer(modules=[bow], device="cpu")
    texts = ["w1 w2 w300", "w17", "w383 w1"]
    long = model.encode(texts)
    expected = fitted.codec(dim=64, encoding="binary").transform(long)
    np.testing.assert_allclose(behind(model, folder).encode(texts), expected, atol=1e-6)
    np.testing.assert_array_equal(model.encode(texts), long)  # the model itself stays as it is
    model.extend(SentenceTransformer(str(folder), device="cpu"))  # as without this package
    model.save(str(tmp_path / "short-model"))
    loaded = SentenceTransformer(str(tmp_path / "short-model"), device="cpu")
    np.testing.assert_allclose(loaded.encode(texts), expected, atol=1e-6)
    assert loaded.get_embedding_dimension() == 64
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        SentenceTransformer(modules=[*loaded][1:], device="cpu")({"sentence_embedding": torch.zeros(1, 383)})
