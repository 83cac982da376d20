"""Sections shared by the commands: a key means the same wherever it stands."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from adaptor.settings import Metric, Settings
from jobs.config.uris import Endpoint, PlaceUri


class FilesystemOptions(Settings):
    """How to reach an object store; local paths ignore it. Secrets never stand here: they come from the environment."""

    endpoint: Endpoint = None
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


class SourceSection(Settings):
    """A vector store: a prefix of Parquet shards with an id, a vector and any payload columns."""

    uri: PlaceUri
    """Folder or prefix of the shards: a local path, `s3://bucket/prefix`, or any fsspec URI."""
    id_column: str = "id"
    """Column of row ids (string, integer or UUID)."""
    vector_column: str = "vector"
    """Column of vectors (list, large_list or fixed_size_list of float16/32/64)."""
    metric: Metric = "cosine"
    """Similarity that the source is searched with."""
    format: str = "parquet"
    """Format of the files."""
    fast_parquet: bool = True
    """Read vectors straight from Parquet pages where page headers prove that pyarrow would give the same; false reads
    everything with pyarrow."""
    filesystem: FilesystemOptions = FilesystemOptions()
    """How to reach the source."""


class QueriesSection(Settings):
    """Query vectors, in one Parquet file or a prefix of them."""

    uri: PlaceUri
    """Parquet file or prefix."""
    id_column: str = "id"
    """Column of query ids."""
    vector_column: str = "vector"
    """Column of query vectors; same model, same dimension as the source."""
    split: str | None = None
    """Keep only rows whose `split` column has this value; null keeps all rows."""
    format: str = "parquet"
    """Format of the files."""
    filesystem: FilesystemOptions = FilesystemOptions()
    """How to reach the file."""


class QrelsSection(Settings):
    """Relevance judgments, in one Parquet file or a prefix of them."""

    uri: PlaceUri
    """Parquet file or prefix."""
    query_column: str = "query_id"
    """Column of query ids."""
    document_column: str = "doc_id"
    """Column of document ids."""
    grade_column: str = "grade"
    """Column of integer grades; above 0 means relevant."""
    split: str | None = None
    """Keep only rows whose `split` column has this value; null keeps all rows."""
    format: str = "parquet"
    """Format of the files."""
    filesystem: FilesystemOptions = FilesystemOptions()
    """How to reach the file."""


class OutputSection(Settings):
    """Where a command writes."""

    uri: PlaceUri
    """Folder or prefix; created when absent."""
    filesystem: FilesystemOptions = FilesystemOptions()
    """How to reach it."""


class ArtefactSection(Settings):
    """A fitted adaptor."""

    uri: PlaceUri
    """Folder or prefix that `matryoshka fit` wrote (`adaptor.safetensors`, `adaptor.json`)."""
    filesystem: FilesystemOptions = FilesystemOptions()
    """How to reach it."""
