"""One root schema per command. A YAML file is parsed as exactly one of them."""

from __future__ import annotations

import re
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from adaptor.recipes import fill
from adaptor.settings import LossSettings, MiningSettings, ModelSettings, Settings, TrainingSettings
from cluster.settings import ClusterSection
from jobs.config.credential_redaction import has_login
from jobs.config.quality import QualitySection
from jobs.config.sections import (
    ArtefactSection,
    OutputSection,
    QrelsSection,
    QueriesSection,
    SourceSection,
)


class FitConfig(Settings):
    """Learn an adaptor from a sample of the source."""

    source: SourceSection
    """The vectors to learn from."""
    output: OutputSection
    """Where the artefact goes."""
    queries: QueriesSection | None = None
    """Training queries. With qrels they train all dims, the full one too. Without (a sample of the query log) they
    show the low-dimensional head what is asked."""
    qrels: QrelsSection | None = None
    """Judgments of the training queries."""
    adaptor: ModelSettings = ModelSettings()
    """The model."""
    loss: LossSettings = LossSettings()
    """The objective."""
    training: TrainingSettings = TrainingSettings()
    """The optimisation."""
    mining: MiningSettings = MiningSettings()
    """The sample and its neighbours."""
    cluster: ClusterSection = ClusterSection()
    """Where it runs."""

    @model_validator(mode="before")
    @classmethod
    def _recipe_fills_gaps(cls, given: Any) -> Any:
        return fill(given)

    @model_validator(mode="after")
    def _queries_have_a_use(self) -> Self:
        if self.queries is None and self.qrels is not None:
            raise ValueError(f"qrels: judgments ({self.qrels.uri}) need queries: give them, or drop qrels")
        if (
            self.queries is not None
            and self.qrels is None
            and (self.adaptor.architecture != "orthogonal" or not self.adaptor.low_dim_head)
        ):
            raise ValueError(
                "queries: without qrels they train only the low-dimensional head, which adaptor.architecture: "
                f"{self.adaptor.architecture} with adaptor.low_dim_head: {str(self.adaptor.low_dim_head).lower()} has "
                f"not; "
                "give qrels, or set architecture: orthogonal and low_dim_head: true"
            )
        return self


class CompressOutputSection(OutputSection):
    """Where and how the short vectors are written."""

    dim: int = Field(ge=1)
    """Dimensions kept: one of the adaptor's trained dims, or any other up to the source's dimension (a warning says
    so)."""
    encoding: Literal["float32", "float16"] = "float32"
    """How each number is stored; float16 rounds to nearest and halves the size."""
    format: str = "parquet"
    """Format of the files."""
    row_group_rows: int = Field(default=65_536, ge=1)
    """Rows of one row group of the output."""
    compression: Literal["none", "snappy", "zstd", "lz4"] = "none"
    """Parquet compression of the output; unit vectors hardly compress."""
    removed: Literal["keep", "delete"] = "keep"
    """What happens to the output of a shard that has left the source."""


class ReadingSection(Settings):
    """How the shards are read."""

    bad_rows: Literal["stop", "quarantine"] = "stop"
    """What a null, NaN, infinite, zero or wrong-length vector or a null id does: end the job, or go to the quarantine
    with its reason. With `quarantine` an unreadable shard is reported as failed and the others finish (exit status
    1)."""
    batch_rows: int = Field(default=8192, ge=1)
    """Rows that pass through the adaptor at once; memory grows with it, the output does not depend on it."""
    split_bytes: int = Field(default=1 << 30, ge=1)
    """Shards larger than this are split into work items by row groups, so that one file never holds up the job."""
    attempts: int = Field(default=3, ge=1)
    """How often a shard that kills its worker, or makes no progress, is tried before it is given up as failed."""
    timeout_seconds: float = Field(default=3600.0, gt=0)
    """Longest time for a batch, or for publishing the output: a worker without progress for so long is killed and
    counts as died."""
    retry_failed: bool = False
    """Take up only what earlier runs gave up as failed. Otherwise a run does all that is not done, failed work items
    last."""


class CompressConfig(Settings):
    """Stream the whole source through the adaptor and write short vectors."""

    source: SourceSection
    """The vectors to compress."""
    adaptor: ArtefactSection
    """The adaptor to apply."""
    output: CompressOutputSection
    """Where the output version goes."""
    reading: ReadingSection = ReadingSection()
    """How the shards are read."""
    quality: QualitySection = QualitySection()
    """What must be known of the adaptor before it starts."""
    cluster: ClusterSection = ClusterSection()
    """Where it runs."""


class EvaluationSection(Settings):
    """What evaluate measures."""

    name: str | None = None
    """Name of the set in metrics.json; null takes the last part of the source's uri."""
    dims: tuple[int, ...] | None = None
    """Dims to score; null takes the trained dims of the adaptor."""
    sampled_queries: int = Field(default=1000, ge=1)
    """Without queries: rows of the source, drawn uniformly, that serve as queries."""
    bootstrap: int = Field(default=1000, ge=10)
    """Resamples of the queries behind each confidence interval (95%)."""
    seed: int = Field(default=0, ge=0)
    """Seed of the anchors and of the resampling."""


class EvaluateConfig(Settings):
    """Measure what search quality each dim keeps."""

    source: SourceSection
    """The full-dimension vectors (the ground truth)."""
    adaptor: ArtefactSection
    """The adaptor to measure."""
    output: OutputSection
    """Where metrics.json and report.html go."""
    queries: QueriesSection | None = None
    """Query vectors; without them rows of the source are the queries."""
    qrels: QrelsSection | None = None
    """Judgments: with them nDCG@10, Recall@10/100 and MRR@10 are measured."""
    evaluation: EvaluationSection = EvaluationSection()
    """What is measured."""
    cluster: ClusterSection = ClusterSection()
    """Where it runs."""

    @model_validator(mode="after")
    def _qrels_need_queries(self) -> Self:
        if self.qrels is not None and self.queries is None:
            raise ValueError("qrels need queries: give the query vectors, or leave qrels out")
        return self


class VerificationSection(Settings):
    """How thoroughly verify looks."""

    sample_rows: int = Field(default=1000, ge=0)
    """Rows, drawn uniformly, that are computed again from the source and compared."""
    tolerance: float = Field(default=1e-5, gt=0)
    """Largest accepted difference of one number (float16 output: one rounding step is added)."""
    seed: int = Field(default=0, ge=0)
    """Seed of the sample."""
    unique_ids_up_to: int = Field(default=200_000_000, ge=0)
    """EvalStep for doubled ids across shards only up to this many rows (8 bytes of memory each)."""


class VerifyConfig(Settings):
    """Check that an output version is complete and right."""

    source: SourceSection
    """The full-dimension vectors."""
    adaptor: ArtefactSection
    """The adaptor of the output version."""
    output: CompressOutputSection
    """The same section as the compress run had."""
    verification: VerificationSection = VerificationSection()
    """How thoroughly to look."""
    cluster: ClusterSection = ClusterSection()
    """Where it runs."""


_SECRET_NAME = re.compile(r"key|secret|token|passw|credential", re.IGNORECASE)


class SubmissionSection(Settings):
    """The job to send."""

    command: Literal["fit", "advise", "compress", "evaluate", "verify"]
    """Command to run on the cluster."""
    config: str
    """Its YAML file; it is checked here before anything is sent."""
    overrides: dict[str, str] = Field(default={})
    """Fields to override in it, as `section.field: value`."""
    address: str = "http://127.0.0.1:8265"
    """Address of the cluster's dashboard (Jobs API), as `http://host:port` or `https://host:port`."""
    allow_unauthenticated: bool = False
    """Send also to a cluster beyond this machine that asks for no token (anybody who reaches it can run code on it)."""
    job_id: str | None = None
    """Name of the job; submitting a name twice follows the running job instead of starting another. Null: made from
    what is sent."""
    pip: tuple[str, ...] = ()
    """Requirements that each node installs first; leave empty when the image holds them (recommended)."""
    environment: dict[str, str] = Field(default={})
    """Environment variables of the job; refused when a name or value looks like a secret (use roles or the nodes'
    environment)."""
    follow: bool = True
    """Print the job's log until it ends and exit with its status; false returns once the job is queued."""
    entrypoint_cpus: float = Field(default=0, ge=0)
    """CPUs reserved for the driver of the job."""

    @field_validator("address")
    @classmethod
    def _address_is_a_server(cls, address: str) -> str:
        if not re.fullmatch(r"https?://[^/@\s]+/?", address):
            raise ValueError("must be the dashboard's address, http://host:port or https://host:port")
        return address

    @field_validator("job_id")
    @classmethod
    def _job_id_fits_a_url(cls, job_id: str | None) -> str | None:
        if job_id is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", job_id):
            raise ValueError(
                "must be letters, digits, dots, dashes and underscores, up to 128, a letter or digit first"
            )
        return job_id

    @field_validator("environment")
    @classmethod
    def _no_secrets(cls, environment: dict[str, str]) -> dict[str, str]:
        for name, value in environment.items():
            if _SECRET_NAME.search(name) or has_login(value):
                raise ValueError(
                    f"{name} looks like a secret, and everybody on the cluster can read a job's environment: give the "
                    "nodes a role, or set it where they start (a Kubernetes secret, the instance's environment)"
                )
        return environment

    @field_validator("pip")
    @classmethod
    def _no_logins(cls, requirements: tuple[str, ...]) -> tuple[str, ...]:
        if any(has_login(requirement) for requirement in requirements):
            raise ValueError("a requirement holds a user name or password: put the packages into the image instead")
        return requirements


class SubmitConfig(Settings):
    """Send a command to a running Ray cluster."""

    submission: SubmissionSection
    """The job."""
