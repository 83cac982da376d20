"""The manifest of an output version: which files count, as of one sequence. Whoever loads an output reads it first.

Each complete run that changed something adds a sequence: 1, 2, 3 … `manifest.json` is the newest, `manifests/` holds
all that are kept. A manifest is written last, when everything that it names is there.

Files are never changed. One that no longer counts leaves `data/` for `_superseded/`, as long as a kept manifest names
it; that manifest then says so. Who holds an old manifest in memory and misses a file reads the manifest again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field, TypeAdapter

from adaptor.errors import InputError
from jobs.commits.ledger import LedgerRecord
from jobs.commits.names import DATA, digest
from jobs.storage.objects import AbsentError, Objects

MANIFEST, MANIFESTS, FEEDS, SUPERSEDED = "manifest.json", "manifests/", "_feeds/", "_superseded/"
#: Largest manifest that is read, in bytes: about three million files.
_LIMIT = 1 << 30
_NAME = re.compile(r"(\d{8,})\.json")

Count = Annotated[int, Field(ge=0)]
Sequence = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, kw_only=True)
class OutputFile:
    """A file that counts: key below the output version's folder, rows, bytes, SHA-256, and the shard that it is of."""

    path: str
    rows: Count
    bytes: Count
    sha256: str
    shard: str
    source_version: str

    @classmethod
    def of(cls, record: LedgerRecord) -> OutputFile:
        """The output that a record names."""
        return cls(
            path=record.output,
            rows=record.rows_out,
            bytes=record.output_bytes,
            sha256=record.sha256,
            shard=record.shard,
            source_version=record.version,
        )


@dataclass(frozen=True, kw_only=True)
class Feed:
    """What a sequence changed, row by row: the first column of the Parquet file at `path` is `op`, `upsert` or
    `delete`, before the columns of the output. Each id stands in it once; a deleted one with nothing but its id."""

    sequence: Sequence
    path: str
    upserts: Count
    deletes: Count
    bytes: Count
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """An output version as of one sequence. `description` is that of `output_version.json`: adaptor id, dims, metric,
    encodings, columns. `evidence` says what its adaptor is known to keep, and whether what is new had drifted.
    `created` is UTC. `feeds` are the kept ones, ascending; a sequence without one asks for a full load."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(strict=True, extra="forbid")

    format: int = 1
    sequence: Sequence
    created: str
    description: dict[str, Any]
    source_snapshot: str | None
    files: list[OutputFile]
    feeds: list[Feed]
    evidence: dict[str, Any] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows of all files."""
        return sum(file.rows for file in self.files)

    @property
    def total_bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.bytes for file in self.files)

    @property
    def oldest_checkpoint(self) -> int:
        """The oldest sequence from which the feeds lead here. What was loaded at an older one needs a full load."""
        kept, oldest = {feed.sequence for feed in self.feeds}, self.sequence
        while oldest in kept:
            oldest -= 1
        return oldest

    def feeds_since(self, checkpoint: int) -> list[Feed] | None:
        """The feeds that lead from what was loaded at this sequence to now, in order; None where a full load is
        needed."""
        if not self.oldest_checkpoint <= checkpoint <= self.sequence:
            return None
        return [feed for feed in self.feeds if feed.sequence > checkpoint]

    def to_json(self) -> bytes:
        """Its file: `rows`, `bytes` and `oldest_checkpoint` are told for other readers; a checksum of all ends it."""
        told = {"rows": self.rows, "bytes": self.total_bytes, "oldest_checkpoint": self.oldest_checkpoint}
        fields = asdict(self)
        ordered = {name: fields.pop(name) for name in ("format", "sequence", "created")} | told | fields
        return json.dumps({**ordered, "checksum": _checksum(ordered)}, indent=1).encode() + b"\n"

    @classmethod
    def from_json(cls, content: bytes, where: str) -> Manifest:
        """Read a manifest back. Raises InputError naming `where` when it is damaged or of a later format."""
        try:
            fields = json.loads(content)
            checksum = fields.pop("checksum", None)
            if fields["format"] > 1:
                raise InputError(f"{where} has format {fields['format']}, this version reads 1: use the newer one")
            if checksum != _checksum(fields):
                raise ValueError(f"its checksum is {checksum!r}, not that of its content")
            for told in ("rows", "bytes", "oldest_checkpoint"):
                fields.pop(told)
            return _MANIFEST.validate_json(json.dumps(fields))
        except (ValueError, TypeError, KeyError, AttributeError) as problem:
            reason = " ".join(str(problem).split())[:500]
            raise InputError(
                f"{where} is not a manifest of this version ({reason}): delete it and run compress again"
            ) from problem


_MANIFEST = TypeAdapter(Manifest)


def _checksum(fields: dict[str, Any]) -> str:
    return digest(json.dumps(fields, sort_keys=True))


def superseded_key(file: OutputFile) -> str:
    """Where a file goes when it counts no more. The bytes are part of the name: the same version of a shard may have
    been compressed twice, with other bytes."""
    return f"{SUPERSEDED}{file.sha256[:8]}/{file.path.removeprefix(DATA)}"


def manifest_key(sequence: int) -> str:
    """Where the manifest of a sequence is kept."""
    return f"{MANIFESTS}{sequence:08}.json"


def kept_sequences(output_version: Objects) -> list[int]:
    """The sequences whose manifests are kept, ascending."""
    names = (_NAME.fullmatch(info.key.removeprefix(MANIFESTS)) for info in output_version.list(MANIFESTS))
    return sorted(int(name[1]) for name in names if name)


def read_manifest(output_version: Objects, sequence: int | None = None) -> Manifest:
    """The manifest of a sequence, the newest where none is given. Raises InputError when there is none, or a damaged
    one."""
    key = MANIFEST if sequence is None else manifest_key(sequence)
    try:
        return Manifest.from_json(output_version.read(key, _LIMIT), f"{output_version.uri}/{key}")
    except AbsentError as problem:
        if sequence is None:
            raise InputError(
                f"{output_version.uri} holds no complete output version ({MANIFEST} is missing): run compress"
            ) from problem
        kept = ", ".join(map(str, kept_sequences(output_version))) or "none"
        raise AbsentError(
            f"{output_version.uri} keeps no sequence {sequence} (kept: {kept}): give one of these"
        ) from problem


def newest_manifest(output_version: Objects) -> Manifest | None:
    """The newest manifest; None before the first complete run."""
    if output_version.stat(MANIFEST) is None:
        return None
    return read_manifest(output_version)


def kept_manifests(output_version: Objects) -> Iterator[Manifest]:
    """All kept manifests, ascending by sequence."""
    for sequence in kept_sequences(output_version):
        yield read_manifest(output_version, sequence)
