"""Names of registries as values of fields: of encodings, of formats of sources and of formats of outputs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from jobs.config.messages import near
from jobs.encodings.registry import ENCODINGS
from jobs.outputs.registry import OUTPUT_FORMATS
from jobs.sources.registry import SOURCES


@dataclass(frozen=True, eq=False)
class Registered:
    """Marks a text as one of `names`, of a registry as it is when a configuration is read: names may be added to it."""

    names: Collection[str]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return handler(schema) | {"enum": [*self.names]}

    def _checked(self, name: str) -> str:
        if name not in self.names:
            raise ValueError(f"must be one of: {', '.join(self.names)}{near(name, self.names)}")
        return name


EncodingName = Annotated[str, Registered(ENCODINGS)]
SourceFormat = Annotated[str, Registered(SOURCES)]
OutputFormatName = Annotated[str, Registered(OUTPUT_FORMATS)]
