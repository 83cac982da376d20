"""The schema of `matryoshka query-side`."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from adaptor.settings import Settings
from jobs.config.sections import ArtefactSection, EncodingName, Location, OutputSection, QueryFormatName


class IndexSection(Location):
    """The output version that is searched, as compress wrote it (the folder with `output_version.json`)."""


class QuerySideOutputSection(OutputSection):
    """What is written, and where."""

    format: QueryFormatName = Field(json_schema_extra={"argument": True})
    """What makes queries: `onnx`, `sentence-transformers`, `langchain`, `llamaindex`, `faiss`, or `matrix` for all
    else. The word may stand right behind the command."""
    dim: int | None = Field(default=None, ge=1)
    """Dimensions of the index; null takes those of `index`."""
    encoding: EncodingName | None = None
    """How the index stores each vector; null takes that of `index`."""


class QuerySideConfig(Settings):
    """Write the adaptor as what an application makes queries with."""

    adaptor: ArtefactSection
    """The adaptor of the index."""
    index: IndexSection | None = None
    """What is searched. It says dim and encoding, and that it is of this adaptor."""
    output: QuerySideOutputSection

    @model_validator(mode="after")
    def _index_or_dim(self) -> Self:
        if self.index is None and (self.output.dim is None or self.output.encoding is None):
            raise ValueError("give output.dim and output.encoding, or index.uri, which says both")
        return self
