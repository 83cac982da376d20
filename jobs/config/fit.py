"""The schema of `matryoshka fit`."""

from __future__ import annotations

from typing import Any, Self

from pydantic import model_validator

from adaptor.recipes import fill
from adaptor.settings import LossSettings, MiningSettings, ModelSettings, Settings, TrainingSettings
from cluster.settings import ClusterSection
from jobs.config.sections import OutputSection, QrelsSection, QueriesSection, SourceSection


class LearningSections(Settings):
    """How an adaptor is learned."""

    queries: QueriesSection | None = None
    """Training queries. With qrels they train all dims; without (a query log) all but the full one."""
    qrels: QrelsSection | None = None
    """Judgments of the training queries."""
    adaptor: ModelSettings = ModelSettings()
    loss: LossSettings = LossSettings()
    training: TrainingSettings = TrainingSettings()
    mining: MiningSettings = MiningSettings()

    @model_validator(mode="before")
    @classmethod
    def _recipe_fills_gaps(cls, values: Any) -> Any:
        return fill(values)

    @model_validator(mode="after")
    def _queries_have_a_use(self) -> Self:
        if self.queries is None and self.qrels is not None:
            raise ValueError(f"qrels: judgments ({self.qrels.uri}) need queries: give them, or drop qrels")
        if self.queries is not None and self.qrels is None and self.adaptor.architecture == "mlp":
            raise ValueError(
                "queries: architecture mlp does not learn from a query log: give qrels, or set adaptor.architecture: "
                "linear"
            )
        return self


class FitConfig(LearningSections):
    """Learn an adaptor from a sample of the source."""

    source: SourceSection
    """The vectors to learn from."""
    output: OutputSection
    """Where the adaptor goes."""
    cluster: ClusterSection = ClusterSection()
