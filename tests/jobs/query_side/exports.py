"""Query sides as the command writes them, and stand-ins for the model of a source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from langchain_core.embeddings import Embeddings
from llama_index.core.base.embeddings.base import BaseEmbedding

from adaptor.artefact import Adaptor
from adaptor.rows import Floats
from jobs.config.query_side import QuerySideConfig
from jobs.query_side import command
from tests.jobs.evaluate.inputs import save_adaptor


def export(adaptor: Adaptor, folder: Path, name: str, **output: Any) -> Path:
    """Write an adaptor's query side of this format; where it lies."""
    uri = save_adaptor(adaptor, folder / "adaptor")
    given = {"adaptor": {"uri": uri}, "output": {"uri": str(folder / name), "format": name, **output}}
    assert command.run(QuerySideConfig.model_validate(given)) == 0
    return folder / name


class LangChainModel(Embeddings):
    """Gives the vector whose row a text names."""

    def __init__(self, vectors: Floats) -> None:
        self.vectors = vectors

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Rows as lists."""
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """A row as a list."""
        row: list[float] = self.vectors[int(text)].tolist()
        return row


class LlamaIndexModel(BaseEmbedding):
    """Gives the vector whose row a text names."""

    rows: list[list[float]]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self.rows[int(query)]

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self.rows[int(query)]

    def _get_text_embedding(self, text: str) -> list[float]:
        return self.rows[int(text)]
