"""LangChain embeddings that shorten what other embeddings give. Needs the extra `langchain`.

embeddings = ShortEmbeddings(HuggingFaceEmbeddings(model_name=…), open_query_side("out/query-side"))
"""

from __future__ import annotations

from langchain_core.embeddings import Embeddings

from adaptor.query_side.exported import QuerySide


class ShortEmbeddings(Embeddings):
    """The `inner` embeddings, of the model that the source was embedded with, behind an adaptor.

    Documents become the numbers that compress stores, so that what is added between two runs fits. int4, int2 and
    binary become the floats that the codes stand for: no store of LangChain compares packed bits. All methods raise
    InputError where the inner model gives vectors of another dimension.
    """

    def __init__(self, inner: Embeddings, side: QuerySide) -> None:
        self.inner, self.side = inner, side

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Texts as stored numbers."""
        return self.side.stored_numbers(self.inner.embed_documents(texts)) if texts else []

    def embed_query(self, text: str) -> list[float]:
        """A text as the numbers that stored ones are asked with."""
        return self.side.asked_numbers(self.inner.embed_query(text))[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """The same, where the inner model waits for a server."""
        return self.side.stored_numbers(await self.inner.aembed_documents(texts)) if texts else []

    async def aembed_query(self, text: str) -> list[float]:
        """The same, where the inner model waits for a server."""
        return self.side.asked_numbers(await self.inner.aembed_query(text))[0]
