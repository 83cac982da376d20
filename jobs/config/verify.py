"""The schema of `matryoshka verify`."""

from __future__ import annotations

from pydantic import Field

from adaptor.settings import Settings
from cluster.settings import ClusterSection
from jobs.config.compress import CompressOutputSection
from jobs.config.sections import ArtefactSection, SourceSection


class VerificationSection(Settings):
    """How thoroughly verify looks."""

    sample_rows: int = Field(default=1000, ge=0)
    """Rows, drawn uniformly, that are computed again from the source and compared."""
    tolerance: float = Field(default=1e-5, gt=0)
    """Largest accepted difference of one number, besides what the encoding rounds."""
    seed: int = Field(default=0, ge=0)
    """Seed of the sample."""
    unique_ids_up_to: int = Field(default=200_000_000, ge=0)
    """Look for ids that stand in several shards only up to this many rows (8 bytes of memory each)."""


class VerifyConfig(Settings):
    """Check that an output version is complete and right."""

    source: SourceSection
    """The full-dimension vectors."""
    adaptor: ArtefactSection
    """The adaptor of the output version."""
    output: CompressOutputSection
    """The same section as the compress run had."""
    verification: VerificationSection = VerificationSection()
    cluster: ClusterSection = ClusterSection()
