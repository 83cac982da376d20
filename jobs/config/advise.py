"""The schema of `matryoshka advise`."""

from __future__ import annotations

from functools import cached_property
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from adaptor.settings import Settings
from cluster.settings import ClusterSection
from jobs.config.sections import ArtefactSection, OutputSection, QrelsSection, QueriesSection, SourceSection
from jobs.config.targets import RETRIEVAL_MEASURES, Target, parse_target


class AdvisingSection(Settings):
    """What advise measures, and on how much."""

    dims: tuple[int, ...] | None = None
    """Dims to look at besides the trained ones of the adaptor; null adds none."""
    encoding: Literal["float32", "float16"] = "float32"
    """Type of the numbers that compress is going to store (its `output.encoding`): bytes are counted with it. Rounding
    to float16 is not measured: on SciFact it moved overlap@10 by less than 0.001."""
    sample_rows: int | None = Field(default=100_000, ge=100)
    """Rows drawn uniformly over all shards that are searched; what is measured is then carried over to the size of the
    source. Null searches the whole source, exactly."""
    sampled_queries: int = Field(default=1000, ge=20)
    """Without queries: rows of the source that serve as queries."""
    bootstrap: int = Field(default=1000, ge=100)
    """Resamples of the queries behind each 95% interval."""
    seed: int = Field(default=1, ge=0)
    """Seed of the sample and of the resampling; another one than fit's, so that advise looks at other rows than those
    that the adaptor learned from."""


class AdviseConfig(Settings):
    """How small can I go? Estimate from a sample what each dim keeps and costs, and name the smallest that does."""

    target: tuple[str, ...] = ()
    """What a dim must meet, all of it: `overlap@10 >= 0.9`, `ndcg@10 >= 0.98 of original` (any measure of evaluate),
    `bytes <= 200` per vector, `total_bytes <= 50GB`. The lower end of the 95% interval decides. Exit status 1 when no
    dim meets it."""
    source: SourceSection
    """The full-dimension vectors."""
    adaptor: ArtefactSection
    """The adaptor to measure; `matryoshka fit` makes one from the same source in minutes."""
    output: OutputSection
    """Where advice.json goes."""
    queries: QueriesSection | None = None
    """Query vectors; without them rows of the source are the queries."""
    qrels: QrelsSection | None = None
    """Judgments: with them nDCG@10 and Recall@100 are estimated too."""
    advising: AdvisingSection = AdvisingSection()
    """What is measured, and on how much."""
    cluster: ClusterSection = ClusterSection()
    """Where it runs."""

    @field_validator("target")
    @classmethod
    def _targets_are_readable(cls, target: tuple[str, ...]) -> tuple[str, ...]:
        for text in target:
            parse_target(text)
        return target

    @model_validator(mode="after")
    def _judgments_where_needed(self) -> Self:
        if self.qrels is not None and self.queries is None:
            raise ValueError("qrels need queries: give the query vectors, or leave qrels out")
        blind = [str(target) for target in self.targets if target.name in RETRIEVAL_MEASURES]
        if blind and self.qrels is None:
            raise ValueError(
                f"target {blind[0]} needs queries and qrels: give both, or ask for an overlap (overlap@10 >= 0.8)"
            )
        return self

    @cached_property
    def targets(self) -> tuple[Target, ...]:
        """The demands, read."""
        return tuple(parse_target(text) for text in self.target)
