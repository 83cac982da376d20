"""The schema of `matryoshka evaluate`, and what it shares with `matryoshka advise`."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from adaptor.settings import Settings
from cluster.settings import ClusterSection
from jobs.config.sections import (
    ArtefactSection,
    EncodingName,
    OutputSection,
    QrelsSection,
    QueriesSection,
    SourceSection,
)


class MeasureConfig(Settings):
    """An adaptor that is measured by searching its source."""

    source: SourceSection
    """The full-dimension vectors (the ground truth)."""
    adaptor: ArtefactSection
    """The adaptor to measure."""
    output: OutputSection
    queries: QueriesSection | None = None
    """Query vectors; without them rows of the source are the queries."""
    qrels: QrelsSection | None = None
    """Judgments: with them nDCG, recall and MRR are measured, too."""
    cluster: ClusterSection = ClusterSection()

    @model_validator(mode="after")
    def _queries_beside_the_source(self) -> Self:
        if self.qrels is not None and self.queries is None:
            raise ValueError("qrels need queries: give the query vectors, or leave qrels out")
        for table in (self.queries, self.qrels):
            if table is not None:
                table.reach_as(self.source)
        return self


class MeasuredSection(Settings):
    """What is measured of an adaptor."""

    dims: tuple[int, ...] | None = None
    encodings: tuple[EncodingName, ...] | None = None


class EvaluationSection(MeasuredSection):
    """What evaluate measures."""

    name: str | None = None
    """Name of the set in metrics.json; null takes the last part of the source's uri."""
    dims: tuple[int, ...] | None = None
    """Dims to score; null takes the trained dims of the adaptor."""
    encodings: tuple[EncodingName, ...] | None = None
    """Encodings of the adaptor to score besides float32; null takes float16 and all that it has codes for; `[]` none.
    Dims without codes are left out."""
    sampled_queries: int = Field(default=1000, ge=1)
    """Without queries: rows of the source, drawn uniformly, that serve as queries."""
    bootstrap: int = Field(default=1000, ge=10)
    """Resamples of the queries behind each confidence interval (95%)."""
    seed: int = Field(default=0, ge=0)
    """Seed of the sampled queries and of the resampling."""


class EvaluateConfig(MeasureConfig):
    """Measure what search quality each dim keeps."""

    evaluation: EvaluationSection = EvaluationSection()
