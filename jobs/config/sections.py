"""Sections and names of registries that the commands share: a key means the same wherever it stands."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from adaptor.settings import Metric, Settings
from jobs.config.messages import suggestion
from jobs.config.uris import LocationUri, ServerAddress
from jobs.encodings.registry import ENCODINGS
from jobs.outputs.registry import OUTPUT_FORMATS
from jobs.sources.registry import SOURCES


@dataclass(frozen=True, eq=False)
class OneOf:
    """Validates a text as one of `names`, as they are when a configuration is read: a registry may grow."""

    names: Collection[str]

    def __call__(self, name: str) -> str:
        """The name itself. Raises ValueError when it is none of them."""
        if name not in self.names:
            raise ValueError(f"must be one of: {', '.join(self.names)}{suggestion(name, self.names)}")
        return name


EncodingName = Annotated[str, AfterValidator(OneOf(ENCODINGS))]
SourceFormat = Annotated[str, AfterValidator(OneOf(SOURCES))]
OutputFormatName = Annotated[str, AfterValidator(OneOf(OUTPUT_FORMATS))]


class FilesystemOptions(Settings):
    """How to reach an object store; local paths ignore it. Secrets never stand here: they come from the environment."""

    endpoint: ServerAddress | None = None
    """Address of an S3-compatible server, such as `http://127.0.0.1:8333`; null means AWS."""
    region: str | None = None
    """Region of the bucket; null asks the environment (AWS_REGION)."""
    credentials: Literal["environment", "anonymous", "role"] = "environment"
    """`environment`: the usual AWS chain; `anonymous`: unsigned requests; `role`: assume `role_arn`."""
    role_arn: str | None = None
    """Role to assume; needed with `credentials: role`, refused otherwise."""
    attempts: int = Field(default=10, ge=1)
    """Tries of one request before it counts as failed."""
    request_timeout_seconds: float = Field(default=30.0, gt=0)
    """Longest wait for a reply to one request."""

    @model_validator(mode="after")
    def _role_has_arn(self) -> Self:
        if (self.credentials == "role") != (self.role_arn is not None):
            raise ValueError("role_arn and credentials: role go together, give both or neither")
        return self


class Location(Settings):
    """A folder or prefix, and how to reach it."""

    uri: LocationUri
    """Folder or prefix: a local path, `s3://bucket/prefix`, or any fsspec URI."""
    filesystem: FilesystemOptions = FilesystemOptions()


class SourceSection(Location):
    """A vector source: shards below one prefix, with an id, a vector and any payload columns."""

    uri: LocationUri
    """Folder, prefix or single file: a local path, `s3://bucket/prefix`, or any fsspec URI."""
    format: SourceFormat = "parquet"
    """Format of the files."""
    id_column: str = "id"
    """Column of row ids (string, integer or UUID)."""
    vector_column: str = "vector"
    """Column of vectors (list, large_list or fixed_size_list of float16/32/64)."""
    metric: Metric = "cosine"
    """Similarity that the source is searched with."""
    fast_parquet: bool = True
    """Read vectors straight from Parquet pages where that gives the same as pyarrow; false always uses pyarrow."""


class _Table(Location):
    """One file, or the folder or prefix of several."""

    uri: LocationUri
    """Folder, prefix or single file: a local path, `s3://bucket/prefix`, or any fsspec URI."""
    format: SourceFormat = "parquet"
    """Format of the files."""
    split: str | None = None
    """Keep only rows whose `split` column has this value; null keeps all rows."""


class QueriesSection(_Table):
    """Query vectors, in one file or several."""

    id_column: str = "id"
    """Column of query ids."""
    vector_column: str = "vector"
    """Column of query vectors; same model, same dimension as the source."""


class QrelsSection(_Table):
    """Relevance judgments, in one file or several."""

    query_column: str = "query_id"
    """Column of query ids."""
    document_column: str = "doc_id"
    """Column of document ids."""
    grade_column: str = "grade"
    """Column of integer grades; above 0 means relevant."""


class OutputSection(Location):
    """Where a command writes: a folder or prefix, created when absent."""


class ArtefactSection(Location):
    """A fitted adaptor: the folder or prefix that `matryoshka fit` wrote (`adaptor.safetensors`, `adaptor.json`)."""
