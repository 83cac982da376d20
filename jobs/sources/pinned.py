"""One state of the source for a whole command: what the driver has listed is what its workers read."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel

from jobs.config.sections import SourceSection
from jobs.sources.column_view import ColumnView
from jobs.sources.source import Source

ConfigT = TypeVar("ConfigT", bound=BaseModel)


def pinned(config: ConfigT, source: Source) -> ConfigT:
    """The configuration of a command with what `source` has found filled into its section `source`: the snapshot of a
    table, and the type of the ids. Call it after listing, and give workers the result."""
    section: SourceSection = config.source  # type: ignore[attr-defined]  # every command that reads a source has one
    id_type = source.id_type() if isinstance(source, ColumnView) else None
    ids = section.ids.model_copy(update={"type": id_type})
    return config.model_copy(update={"source": section.model_copy(update={"snapshot": source.snapshot(), "ids": ids})})
