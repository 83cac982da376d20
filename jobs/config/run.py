"""The schema of `matryoshka run`: the sections of the commands that it is made of."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from adaptor.settings import Settings
from cluster.settings import ClusterSection
from jobs.config.compress import CompressConfig, CompressOutputSection, QualitySection, ReadingSection
from jobs.config.evaluate import EvaluateConfig, EvaluationSection
from jobs.config.fit import FitConfig, LearningSections
from jobs.config.sections import (
    ArtefactSection,
    Location,
    OutputSection,
    QrelsSection,
    QueriesSection,
    SourceSection,
)
from jobs.config.uris import below
from jobs.config.verify import VerificationSection, VerifyConfig
from jobs.config.versions import GateSection, VersionsConfig


class RunEvaluation(EvaluationSection):
    """Measure search quality before the output is promoted."""

    queries: QueriesSection | None = None
    """Query vectors; without them rows of the source are the queries."""
    qrels: QrelsSection | None = None
    """Judgments: with them nDCG, recall and MRR are measured, too."""


class RunConfig(Settings):
    """The whole job, once or every night: fit where that is needed, compress, verify, evaluate, promote."""

    source: SourceSection
    """The vectors to compress."""
    adaptors: Location
    """The folder of the adaptors that this job fits: 0001, 0002 … The newest is used. The first run fits one, and so
    does a run that finds drift where `quality.on_drift` is refit."""
    output: CompressOutputSection
    fit: LearningSections = LearningSections()
    """How an adaptor is learned, as for fit."""
    reading: ReadingSection = ReadingSection()
    quality: QualitySection = QualitySection()
    verification: VerificationSection = VerificationSection()
    evaluation: RunEvaluation | None = None
    """What is measured before promotion, into the folder `evaluation` below `output.uri`; null measures nothing."""
    promote: bool = Field(default=True)
    """Whether the pointer current.json is moved to what this run made, once it is verified."""
    cluster: ClusterSection = ClusterSection()

    @model_validator(mode="after")
    def _evaluation_can_be_made(self) -> Self:
        if self.evaluation is not None and self.evaluation.qrels is not None and self.evaluation.queries is None:
            raise ValueError("evaluation.qrels need evaluation.queries: give the query vectors, or leave qrels out")
        return self

    def fit_config(self, adaptor_uri: str) -> FitConfig:
        """The configuration of fit."""
        output = OutputSection(uri=adaptor_uri, filesystem=self.adaptors.filesystem)
        return FitConfig.model_validate(
            {**dict(self.fit), "source": self.source, "output": output, "cluster": self.cluster}
        )

    def compress_config(self, adaptor_uri: str) -> CompressConfig:
        """The configuration of compress."""
        return CompressConfig(
            source=self.source,
            adaptor=self._artefact(adaptor_uri),
            output=self.output,
            reading=self.reading,
            quality=self.quality,
            cluster=self.cluster,
        )

    def verify_config(self, adaptor_uri: str) -> VerifyConfig:
        """The configuration of verify."""
        return VerifyConfig(
            source=self.source,
            adaptor=self._artefact(adaptor_uri),
            output=self.output,
            verification=self.verification,
            cluster=self.cluster,
        )

    def evaluate_config(self, adaptor_uri: str, evaluation: RunEvaluation) -> EvaluateConfig:
        """The configuration of evaluate."""
        fields = dict(evaluation)
        queries, qrels = fields.pop("queries"), fields.pop("qrels")
        output = OutputSection(uri=below(self.output.uri, "evaluation"), filesystem=self.output.filesystem)
        return EvaluateConfig(
            source=self.source,
            adaptor=self._artefact(adaptor_uri),
            output=output,
            queries=queries,
            qrels=qrels,
            evaluation=EvaluationSection(**fields),
            cluster=self.cluster,
        )

    def promote_config(self, version: str) -> VersionsConfig:
        """The configuration of `versions promote`."""
        return VersionsConfig(
            action="promote",
            output=Location(uri=self.output.uri, filesystem=self.output.filesystem),
            versions=(version,),
            gate=GateSection(minimum=self.quality.minimum),
        )

    def _artefact(self, adaptor_uri: str) -> ArtefactSection:
        return ArtefactSection(uri=adaptor_uri, filesystem=self.adaptors.filesystem)
