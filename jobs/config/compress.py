"""The schema of `matryoshka compress`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from adaptor.settings import Settings
from cluster.settings import ClusterSection
from jobs.config.sections import ArtefactSection, EncodingName, OneOf, OutputFormatName, OutputSection, SourceSection

#: A measure that the artefact's evidence holds and that grows with quality.
EvidenceMeasure = Annotated[str, AfterValidator(OneOf(("overlap@10", "overlap@100")))]


class RescoreSection(Settings):
    """A second, better column of short vectors."""

    dim: int = Field(ge=1)
    """Its dimensions."""
    encoding: EncodingName = "float16"
    """How each of its vectors is stored."""
    column: str | None = None
    """Its name; null appends `_rescore` to the name of the vector column."""


class CompressOutputSection(OutputSection):
    """Where and how the short vectors are written."""

    dim: int = Field(ge=1)
    """Dimensions kept: best one of the adaptor's trained dims; others up to the source's dimension bring a warning."""
    encoding: EncodingName = "float32"
    """How each vector is stored: float32, float16, int8 or uint8 numbers, or packed bytes of 4, 2 or 1 bit a number
    (int4, int2, binary). `advise` finds the dim and encoding for a target."""
    rescore: RescoreSection | None = None
    """A second column of short vectors beside the first, to rescore what a search of the first finds."""
    format: OutputFormatName = "parquet"
    """Format of the files."""
    row_group_rows: int = Field(default=65_536, ge=1)
    """Rows of one row group of the output."""
    compression: Literal["none", "snappy", "zstd", "lz4"] = "none"
    """Compression of the files; unit vectors hardly shrink."""
    removed: Literal["keep", "delete"] = "delete"
    """What happens to the output of a file that has left the source: it counts no more, or (where the source holds only
    what is new) stays. Of a table it never stays."""
    keep_sequences: int = Field(default=7, ge=1)
    """How many states of this output stay readable by their manifests, and from how far back feeds lead to the newest
    one; 1 writes no feeds. What was promoted is always kept."""


class ReadingSection(Settings):
    """How the shards are read."""

    bad_rows: Literal["stop", "quarantine"] = "stop"
    """What a null, NaN, infinite, zero or wrong-length vector, a null id or an unreadable shard does: end the job, or
    be set aside with its reason."""
    batch_rows: int = Field(default=8192, ge=1)
    """Rows that pass through the adaptor at once; memory grows with it, the output does not depend on it."""
    split_bytes: int = Field(default=1 << 30, ge=1)
    """Shards larger than this are split into work items by row groups."""
    attempts: int = Field(default=3, ge=1)
    """How often a shard that kills its worker, or makes no progress, is tried before it is given up as failed."""
    timeout_seconds: float = Field(default=3600.0, gt=0)
    """Longest time for a batch, or for publishing the output; a worker without progress for so long is killed."""
    retry_failed: bool = False
    """Take up only what earlier runs gave up as failed; otherwise that comes last."""


class QualitySection(Settings):
    """What the adaptor must be known to keep before anything is compressed with it."""

    minimum: dict[EvidenceMeasure, Annotated[float, Field(gt=0, le=1)]] = Field(default={})
    """Least value of a measure at `output.dim` in the adaptor's evidence, as in `overlap@10: 0.8`; below it compress
    does not start. The lower end of the 95% interval counts; a dim that was not trained has the evidence of the next
    smaller one. A source larger than the fit's sample keeps less: see `matryoshka advise`."""
    on_drift: Literal["note", "stop", "refit"] = "note"
    """What happens when new or changed shards are of another space, or on another topic, than what the adaptor was
    fitted on: a note; or nothing is published and the command ends; or `run` fits again (other commands stop)."""


class CompressConfig(Settings):
    """Stream the whole source through the adaptor and write short vectors."""

    source: SourceSection
    """The vectors to compress."""
    adaptor: ArtefactSection
    """The adaptor to apply."""
    output: CompressOutputSection
    reading: ReadingSection = ReadingSection()
    quality: QualitySection = QualitySection()
    cluster: ClusterSection = ClusterSection()
