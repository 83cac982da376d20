"""The schema of `matryoshka inspect`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from adaptor.settings import Settings
from jobs.config.sections import OutputSection, SourceSection


class InspectionSection(Settings):
    """How closely the source is looked at."""

    sample_rows: int = Field(default=4096, ge=64)
    """Rows looked at."""
    shards: int = Field(default=16, ge=1)
    """Shards that these rows come from, at most."""
    seed: int = Field(default=0, ge=0)
    """Seed of which shards and row groups."""
    report: Literal["text", "json"] = "text"
    """What is printed."""


class InspectConfig(Settings):
    """Look at a source before any job: which files count, ids, lengths, dead dimensions, and which dims to try."""

    source: SourceSection
    """The vectors to look at."""
    inspection: InspectionSection = InspectionSection()
    output: OutputSection | None = None
    """Where `inspection.json` goes, too."""
