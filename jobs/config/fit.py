"""The schema of `matryoshka fit`."""

from __future__ import annotations

from typing import Any, Self

from pydantic import model_validator

from adaptor.recipes import RECIPES, Recipe, fill
from adaptor.settings import AdaptorSection, MiningSettings, Settings, TrainingSection
from cluster.settings import ClusterSection
from jobs.config.sections import OutputSection, QrelsSection, QueriesSection, SourceSection


class LearningSections(Settings):
    """How an adaptor is learned."""

    queries: QueriesSection | None = None
    """Training queries. With qrels they train all dims; without (a query log) all but the full one."""
    qrels: QrelsSection | None = None
    """Judgments of the training queries."""
    adaptor: AdaptorSection = AdaptorSection()
    training: TrainingSection = TrainingSection()
    mining: MiningSettings = MiningSettings()

    @property
    def recipe(self) -> Recipe:
        """What the recipe says, with the training settings given."""
        return RECIPES[self.adaptor.recipe].with_training(self.training)

    @model_validator(mode="before")
    @classmethod
    def _recipe_fills_gaps(cls, values: Any) -> Any:
        return fill(values)

    @model_validator(mode="after")
    def _queries_have_a_use(self) -> Self:
        if self.queries is None and self.qrels is not None:
            raise ValueError(f"qrels: judgments ({self.qrels.uri}) need queries: give them, or drop qrels")
        if self.queries is not None and self.qrels is None and self.adaptor.recipe == "paper":
            raise ValueError(
                "queries: recipe paper does not learn from a query log: give qrels, or set adaptor.recipe: default"
            )
        return self


class LearnedPlaces(Settings):
    """What an adaptor is learned from, and where it goes."""

    source: SourceSection
    """The vectors to learn from."""
    output: OutputSection
    """Where the adaptor goes."""


class FitConfig(LearningSections, LearnedPlaces):  # in this order pydantic names the fields of the second first
    """Learn an adaptor from a sample of the source."""

    cluster: ClusterSection = ClusterSection()

    @model_validator(mode="after")
    def _queries_are_reached_as_the_source(self) -> Self:
        for table in (self.queries, self.qrels):
            if table is not None:
                table.reach_as(self.source)
        return self
