"""Names of registries as values of fields: of encodings, of formats of sources and of formats of outputs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator

from jobs.config.messages import suggestion
from jobs.encodings.registry import ENCODINGS
from jobs.outputs.registry import OUTPUT_FORMATS
from jobs.sources.registry import SOURCES


@dataclass(frozen=True, eq=False)
class OneOf:
    """Validates a text as one of `names`, as they are when a configuration is read: a registry may grow."""

    names: Collection[str]

    def __call__(self, name: str) -> str:
        """The name itself. Raises ValueError when it is none of them."""
        if name not in self.names:
            raise ValueError(f"must be one of: {', '.join(self.names)}{suggestion(name, self.names)}")
        return name


EncodingName = Annotated[str, AfterValidator(OneOf(ENCODINGS))]
SourceFormat = Annotated[str, AfterValidator(OneOf(SOURCES))]
OutputFormatName = Annotated[str, AfterValidator(OneOf(OUTPUT_FORMATS))]
