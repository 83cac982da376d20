"""A LlamaIndex embedding model that shortens what another one gives. Needs the extra `llamaindex`.

Settings.embed_model = ShortEmbedding(HuggingFaceEmbedding(model_name=…), open_query_side("out/query-side"))
"""

from __future__ import annotations

from llama_index.core.base.embeddings.base import BaseEmbedding
from pydantic import PrivateAttr

from adaptor.query_side.exported import QuerySide


class ShortEmbedding(BaseEmbedding):
    """The `inner` model, with which the source was embedded, behind an adaptor.

    Texts become the numbers that compress stores; int4, int2 and binary the floats that the codes stand for. All
    methods raise InputError where the inner model gives vectors of another dimension.
    """

    _inner: BaseEmbedding = PrivateAttr()
    _side: QuerySide = PrivateAttr()

    def __init__(self, inner: BaseEmbedding, side: QuerySide) -> None:
        stamps = side.description
        name = f"{inner.model_name} > {stamps.adaptor_id[:16]}-d{stamps.dim}-{stamps.encoding}"
        super().__init__(model_name=name, embed_batch_size=inner.embed_batch_size)
        self._inner, self._side = inner, side

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._side.asked_numbers(self._inner.get_query_embedding(query))[0]

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._side.asked_numbers(await self._inner.aget_query_embedding(query))[0]

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return self._side.stored_numbers(self._inner.get_text_embedding_batch(texts)) if texts else []

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return (await self._aget_text_embeddings([text]))[0]

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return self._side.stored_numbers(await self._inner.aget_text_embedding_batch(texts)) if texts else []
