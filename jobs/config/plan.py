"""The schema of `plan`: a source that exists or is described, the cluster that would do it, and what it would cost."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from adaptor.settings import Settings
from cluster.settings import ClusterSection
from jobs.config.compress import CompressOutputSection, ReadingSection
from jobs.config.sections import ArtefactSection, EncodingName, OutputSection, SourceSection


class DescribeSection(Settings):
    """A source that need not exist. Several numbers of rows give a table of several sources."""

    rows: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]
    """Vectors of the source."""
    dim: int = Field(ge=1)
    """Their dimension."""
    output_dim: int = Field(ge=1)
    """Dimensions kept."""
    vectors: Literal["float32", "float16"] = "float32"
    """Type of the numbers of the source, in lists."""
    payload_bytes: int = Field(default=100, ge=0)
    """Bytes of text in each row besides the vector."""
    shard_bytes: int = Field(default=512 << 20, ge=1)
    """Size of one Parquet file."""
    row_group_bytes: int = Field(default=64 << 20, ge=1)
    """Size of one row group."""
    output_encoding: EncodingName = "float32"
    """How each vector of the output is stored."""

    @model_validator(mode="after")
    def _dim_fits(self) -> Self:
        if self.output_dim > self.dim:
            raise ValueError(f"output_dim must be at most dim, got output_dim {self.output_dim} and dim {self.dim}")
        return self


class MachinesSection(Settings):
    """The machines that the workers of `cluster` run on."""

    count: int = Field(default=1, ge=1)
    """Machines; the workers are spread over them evenly."""
    network_gbit: float | None = Field(default=None, gt=0)
    """Network of one machine in Gbit/s, each way; null means 10 for an object store, no limit for a local source."""
    request_seconds: float = Field(default=0.03, ge=0)
    """Time of one small request to the object store; used for described sources and for listing."""
    startup_seconds: float = Field(default=10.0, ge=0)
    """Time to start and to end: Ray, workers, imports. 9 to 12 s on two fast cores."""


class PricesSection(Settings):
    """What things cost where you are, in any currency; all zero means that money is left out."""

    currency: str = "USD"
    """Word that is printed behind sums."""
    cpu_hour: float = Field(default=0.0, ge=0)
    """One core of a rented machine for one hour."""
    put_per_1000: float = Field(default=0.0, ge=0)
    """1,000 PUT, POST or LIST requests."""
    get_per_1000: float = Field(default=0.0, ge=0)
    """1,000 GET or HEAD requests."""
    transfer_gb: float = Field(default=0.0, ge=0)
    """One GB (10⁹ bytes) read from or written to the source; 0 within one region."""
    storage_gb_month: float = Field(default=0.0, ge=0)
    """One GB of output kept for a month."""


class CalibrationSection(Settings):
    """How much of the source is looked at, and how long this machine is measured."""

    footers: int = Field(default=200, ge=2)
    """Shards, drawn uniformly, whose footers are read for the counts: at most so many."""
    megabytes: int = Field(default=64, ge=1)
    """Most data that each core of this machine compresses in one of a few timed runs."""
    seed: int = Field(default=0, ge=0)
    """Seed of the drawing."""


class PlanConfig(Settings):
    """Estimate rows, sizes, CPU-hours, requests, wall time and money of a compress run, without running it."""

    source: SourceSection | None = None
    """The vectors to compress. Give this, `adaptor` and `output` as compress has them, or `describe`."""
    adaptor: ArtefactSection | None = None
    """The adaptor to apply."""
    output: CompressOutputSection | None = None
    """Where the output version would go; nothing is written there."""
    describe: DescribeSection | None = None
    reading: ReadingSection = ReadingSection()
    cluster: ClusterSection = ClusterSection()
    """Where it would run: the numbers of workers and of their cores count; nothing is started."""
    machines: MachinesSection = MachinesSection()
    prices: PricesSection = PricesSection()
    calibration: CalibrationSection = CalibrationSection()
    summary: OutputSection | None = None
    """Where summary.json goes; left out, the estimate is only printed."""

    @model_validator(mode="after")
    def _real_or_described(self) -> Self:
        sections = [name for name in ("source", "adaptor", "output") if getattr(self, name) is not None]
        if self.describe is None and len(sections) < 3:
            raise ValueError("give source, adaptor and output (as compress has them), or describe a source")
        if self.describe is not None and sections:
            raise ValueError(f"describe goes without {', '.join(sections)}: the source either exists or is described")
        return self
