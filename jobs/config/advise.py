"""The schema of `matryoshka advise`."""

from __future__ import annotations

from functools import cached_property
from typing import Self

from pydantic import Field, field_validator, model_validator

from adaptor.settings import Settings
from jobs.config.evaluate import MeasureConfig
from jobs.config.registered import EncodingName
from jobs.config.targets import RETRIEVAL_MEASURES, Target, parse_target


class AdvisingSection(Settings):
    """What advise measures, and on how much."""

    dims: tuple[int, ...] | None = None
    """Dims to look at besides the trained ones of the adaptor; null adds none."""
    encoding: EncodingName = "float32"
    """What compress is going to store (its `output.encoding`): bytes are counted with it. What it rounds is not
    measured: on SciFact float16 moved overlap@10 by less than 0.001."""
    sample_rows: int | None = Field(default=100_000, ge=100)
    """Rows, drawn uniformly over all shards, that are searched; what is measured is then extrapolated to the size of
    the source. Null searches the whole source, exactly."""
    sampled_queries: int = Field(default=1000, ge=20)
    """Without queries: rows of the source that serve as queries."""
    bootstrap: int = Field(default=1000, ge=100)
    """Resamples of the queries behind each 95% interval."""
    seed: int = Field(default=1, ge=0)
    """Seed of the sample and of the resampling; not fit's, so that advise looks at other rows than those that the
    adaptor learned from."""


class AdviseConfig(MeasureConfig):
    """How small can I go? Estimate from a sample what each dim keeps and costs, and name the smallest that does."""

    target: tuple[str, ...] = ()
    """What a dim must meet, all of it: `overlap@10 >= 0.9`, `ndcg@10 >= 0.98 of original` (any measure of evaluate),
    `bytes <= 200` per vector, `total_bytes <= 50GB`. The lower end of the 95% interval decides. Exit status 1 when no
    dim meets it."""
    advising: AdvisingSection = AdvisingSection()

    @field_validator("target")
    @classmethod
    def _targets_are_readable(cls, target: tuple[str, ...]) -> tuple[str, ...]:
        for text in target:
            parse_target(text)
        return target

    @model_validator(mode="after")
    def _targets_can_be_measured(self) -> Self:
        judged = [target for target in self.targets if target.name in RETRIEVAL_MEASURES]
        if judged and self.qrels is None:
            raise ValueError(
                f"target {judged[0]} needs queries and qrels: give both, or ask for an overlap (overlap@10 >= 0.8)"
            )
        return self

    @cached_property
    def targets(self) -> tuple[Target, ...]:
        """The demands, read."""
        return tuple(parse_target(text) for text in self.target)
