"""Sections and names of registries that the commands share: a key means the same wherever it stands."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, model_validator

from adaptor.settings import Metric, Settings
from jobs.config.messages import suggestion
from jobs.config.uris import LocationUri, ServerAddress
from jobs.encodings.registry import ENCODINGS
from jobs.outputs.registry import OUTPUT_FORMATS
from jobs.query_side.registry import QUERY_FORMATS
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
QueryFormatName = Annotated[str, AfterValidator(OneOf(QUERY_FORMATS))]


#: YAML reads `snapshot: 7` as a number.
SnapshotName = Annotated[str, BeforeValidator(lambda name: str(name) if type(name) is int else name)]


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
    requester_pays: bool = False
    """Agree to pay for the requests and the transfer of a bucket whose owner asks for that."""
    kms_key: str | None = None
    """Id or ARN of the KMS key that S3 encrypts all that is written with; null leaves that to the bucket."""
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


class FilesSection(Settings):
    """Which of the files below `uri` are read. Tables (delta, iceberg, lance) say that themselves."""

    include: tuple[str, ...] = ()
    """Patterns of files and folders to read, such as `*.pq` or `_raw`; `*` also matches `/`. Names that begin with `_`
    (unless they hold a `=`) or `.` are read only where a pattern begins so, too."""
    exclude: tuple[str, ...] = ()
    """Patterns of files and folders to leave out."""
    list_uri: LocationUri | None = None
    """A file that lists the files to read: one URI or path below `uri` a line, or a manifest as Redshift writes it."""
    table_log: Literal["stop", "ignore"] = "stop"
    """What the log of a table (Delta, Iceberg, Hudi …) beside the files does when they are read as plain files: end
    the command, or nothing. Plain files hold deleted rows and old versions, too."""


class VectorsSection(Settings):
    """How vectors are stored in their column."""

    format: Literal["list", "text", "bytes"] = "list"
    """`list`: lists of numbers; `text`: `[0.1, …]` as JSON and pgvector write it; `bytes`: one after another."""
    dtype: Literal["float16", "bfloat16", "float32", "float64", "int8", "uint8"] | None = None
    """Type of the numbers; needed for `bytes`. For `list` the column says it, but for bfloat16 in 16-bit integers."""
    byte_order: Literal["little", "big"] = "little"
    """Order of the bytes of a number, for `bytes`."""

    @model_validator(mode="after")
    def _dtype_where_the_column_is_silent(self) -> Self:
        if (self.format == "bytes") != (self.dtype is not None) and self.dtype != "bfloat16":
            raise ValueError("format: bytes needs a dtype, and other formats take none but bfloat16 in lists")
        if self.format == "text" and self.dtype is not None:
            raise ValueError("format: text takes no dtype")
        return self


class IdsSection(Settings):
    """Where row ids come from, and what type they must be."""

    kind: Literal["column", "row_number"] = "column"
    """`column`: the id column, or the folder `id=…` of a file without it; `row_number`: `file:row`, the same as long as
    the file keeps its name and its rows keep their places."""
    type: str | None = None
    """Arrow type that ids must have in every file, such as `string` or `int64`; null takes that of the first file."""
    mixed: Literal["stop", "text", "keep"] = "stop"
    """What files with ids of several types do: end the command, have all ids written as text, or keep their own types
    (few readers take such outputs as one table)."""


class SourceSection(Location):
    """A vector source: shards below one prefix, with an id, a vector and any payload columns."""

    uri: LocationUri
    """Folder, prefix or single file: a local path, `s3://bucket/prefix`, or any fsspec URI."""
    format: SourceFormat = "parquet"
    """Format of the files, or of the table."""
    snapshot: SnapshotName | None = None
    """Version of a table to read (Delta and Lance: version; Iceberg: snapshot id); null takes the newest."""
    catalog_table: str | None = None
    """iceberg: the table in a catalog that pyiceberg is configured for, as CATALOG.NAMESPACE.TABLE, to ask which state
    counts; null takes the newest metadata file below `uri`."""
    files: FilesSection = FilesSection()
    metadata_uri: LocationUri | None = None
    """npy: folder of the Parquet files with ids and payload, one for each .npy file in the same order."""
    id_column: str = "id"
    """Column of row ids (string, integer, decimal without digits behind the point, or UUID)."""
    ids: IdsSection = IdsSection()
    vector_column: str = "vector"
    """Column of vectors; `a.b` reaches into structs."""
    vectors: VectorsSection = VectorsSection()
    payload_columns: tuple[str, ...] | None = None
    """Columns that go along unchanged; null takes all."""
    metric: Metric = "cosine"
    """Similarity that the source is searched with."""
    fast_parquet: bool = True
    """Read vectors straight from Parquet pages where that gives the same as pyarrow; false always uses pyarrow."""


class _Table(Settings):
    """One file, or the folder or prefix of several, which are reached as the source is."""

    uri: LocationUri
    """Folder, prefix or single file: a local path, `s3://bucket/prefix`, or any fsspec URI."""
    format: SourceFormat = "parquet"
    """Format of the files."""
    files: FilesSection = FilesSection()
    split: str | None = None
    """Keep only rows whose `split` column has this value; null keeps all rows."""
    _filesystem: FilesystemOptions = PrivateAttr(default_factory=FilesystemOptions)

    @property
    def filesystem(self) -> FilesystemOptions:
        """How to reach it."""
        return self._filesystem

    def reach_as(self, source: Location) -> None:
        """Take over the filesystem options of the source: the configuration that holds both does so."""
        self._filesystem = source.filesystem


class QueriesSection(_Table):
    """Query vectors, in one file or several."""

    id_column: str = "id"
    """Column of query ids."""
    vector_column: str = "vector"
    """Column of query vectors; same model, same dimension as the source."""
    vectors: VectorsSection = VectorsSection()


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
