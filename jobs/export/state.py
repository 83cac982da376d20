"""What a target remembers: what it holds, and how far an export has come. Kept in the target where it can hold it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from adaptor.errors import InputError

#: Under which name an engine keeps it.
STATE_KEY = "matryoshka_export"

Positive = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, kw_only=True)
class State:
    """`stamp` is the collection's. `sequence` is the one that is loaded; while `files_loaded` is not None, so many
    files of its full load are there, and the next may be there in part."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(strict=True, extra="forbid")

    stamp: dict[str, Any]
    sequence: Positive
    files_loaded: Annotated[int, Field(ge=0)] | None = None

    def with_file(self) -> State:
        """One more file is loaded."""
        return replace(self, files_loaded=(self.files_loaded or 0) + 1)

    def to_json(self) -> str:
        """As text that `from_json` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes, where: str) -> State:
        """Read it back. Raises InputError naming `where` when it is damaged."""
        try:
            return _STATE.validate_json(text)
        except ValidationError as problem:
            raise InputError(
                f"{where} holds a damaged or newer note of an export ({' '.join(str(problem).split())[:200]}): export "
                "into another destination.collection"
            ) from problem


_STATE = TypeAdapter(State)
