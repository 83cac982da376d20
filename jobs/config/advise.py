"""The schema of `matryoshka advise`."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from jobs.config.databases import DATABASES
from jobs.config.evaluate import MeasureConfig, MeasuredSection
from jobs.config.sections import EncodingName, OneOf
from jobs.config.targets import RETRIEVAL_MEASURES, Target, TargetText, parse_target

DatabaseName = Annotated[str, AfterValidator(OneOf(DATABASES))]


class AdvisingSection(MeasuredSection):
    """What advise measures, and on how much."""

    dims: tuple[int, ...] | None = None
    """Dims to look at besides the trained ones of the adaptor; null adds none."""
    encodings: tuple[EncodingName, ...] | None = None
    """Encodings to choose from besides float32; null takes float16 and all that the adaptor has codes for; `[]` none.
    Dims without codes are left out."""
    sample_rows: int | None = Field(default=100_000, ge=100)
    """Rows, drawn uniformly, that are searched and extrapolated from; null searches the whole source, exactly."""
    sampled_queries: int = Field(default=1000, ge=20)
    """Without queries: rows of the source that serve as queries."""
    bootstrap: int = Field(default=1000, ge=100)
    """Resamples of the queries behind each 95% interval."""
    seed: int = Field(default=1, ge=0)
    """Seed of the sample and of the resampling; other than fit's, so that other rows are looked at."""


class AdviseConfig(MeasureConfig):
    """How small can I go? Estimate from a sample what each dim and encoding keeps and costs; name the smallest."""

    target: tuple[TargetText, ...] = ()
    """What must be met, all of it: `overlap@10 >= 0.9`, `ndcg@10 >= 0.98 of original` (any measure of evaluate),
    `bytes <= 64` per vector, `total_bytes <= 50GB`. The lower end of the 95% interval decides."""
    database: DatabaseName | None = Field(default=None, json_schema_extra={"flag": "for"})
    """Database that will hold the vectors. Only what it can hold is chosen, and its way to compare codes is emulated;
    null scores float queries against codes. In a file: `database`."""
    advising: AdvisingSection = AdvisingSection()

    @model_validator(mode="after")
    def _targets_can_be_measured(self) -> Self:
        judged = [target for target in self.targets if target.name in RETRIEVAL_MEASURES]
        if judged and self.qrels is None:
            raise ValueError(f"target {judged[0]} needs queries and qrels: give both, or ask for an overlap")
        return self

    @cached_property
    def targets(self) -> tuple[Target, ...]:
        """The parsed `target`."""
        return tuple(parse_target(text) for text in self.target)
