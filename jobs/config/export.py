"""The schema of `matryoshka export`."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from adaptor.settings import Settings
from jobs.config.credential_redaction import without_password
from jobs.config.sections import ArtefactSection, FilesystemOptions, Location, OneOf
from jobs.export.registry import TARGETS

TargetName = Annotated[str, AfterValidator(OneOf(TARGETS))]
#: Where a target is; its password comes from the environment.
Address = Annotated[str, Field(min_length=1), AfterValidator(without_password)]
#: Names that are the same in every engine and need no quotes in SQL.
CollectionName = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]{0,62}$")]


class VersionSection(Location):
    """What is exported: an output version of compress."""

    sequence: int | None = Field(default=None, ge=1)
    """State of the output version; null takes the one that `current.json` names, or the newest."""


class DestinationSection(Settings):
    """Where it goes. Passwords and keys come from the environment only: each target says from which variables."""

    uri: Address
    """Address of the engine (`postgresql://user@host/database`, `http://host:6333` …), or a folder."""
    collection: CollectionName = "vectors"
    """Table, collection, key or index there: lower-case letters, digits and `_`. It is made by the first export."""
    index: str | None = None
    """Kind of index, one of those that the target has; null takes its first one."""
    payload: tuple[str, ...] | None = None
    """Columns that go along with id and vectors; null sends all."""
    filesystem: FilesystemOptions = FilesystemOptions()


class ExportConfig(Settings):
    """Load an output version, or what has changed since the last export, into a vector database or its import files."""

    target: TargetName = Field(json_schema_extra={"argument": True})
    """The kind of database or file."""
    version: VersionSection
    """The output version: its own folder (of a manifest.json), or one that holds a current.json."""
    destination: DestinationSection
    adaptor: ArtefactSection | None = None
    """The adaptor of the output version, for targets that take its map along (faiss)."""
    batch_rows: int | None = Field(default=None, ge=1)
    """Rows that are read and sent at once; null takes what suits the target."""
    replace: bool = False
    """Delete a collection that an earlier export made and this one cannot carry on, and load it anew. A collection
    that export did not make is never deleted."""
    dry_run: bool = False
    """Make all checks that need no rows, say what would be sent, and send nothing."""
