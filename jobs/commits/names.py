"""Names of objects in an output version. A record's says which rows of which version of which shard it is for: one
listing tells what is done, and no record is opened to resume."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from adaptor.errors import InputError
from jobs.sources.source import Shard

LEDGER, DATA, QUARANTINE = "_ledger/", "data/", "_quarantine/"

_NAME = re.compile(r"([0-9a-f]{24})\.(all|(\d{5,})-(\d{5,})-of-(\d{5,}))\.([0-9a-f]{16})\.json")
_RUN = re.compile(r"\.rg\d{5,}-\d{5,}$")
_VERSION = re.compile(r"\.[0-9a-f]{16}$")


@dataclass(frozen=True, order=True)
class RowGroups:
    """A run of row groups, `start` to `stop` (exclusive), of a shard that has `total`."""

    start: int
    stop: int
    total: int

    def __str__(self) -> str:
        return f"{self.start:05}-{self.stop:05}-of-{self.total:05}"


def row_group_range(run: RowGroups | None, total: int, where: str) -> range:
    """The row groups of a work item of the shard `where`; `InputError` when it has not as many as it was cut from."""
    if run is None:
        return range(total)
    if run.total != total:
        raise InputError(f"{where} has {total} row groups, not {run.total}: it changed, run compress again")
    return range(run.start, run.stop)


@dataclass(frozen=True)
class RecordName:
    """What the name of a record says: hash of the shard's key, which row groups (None: all), hash of its version."""

    shard: str
    row_groups: RowGroups | None
    version: str

    @property
    def key(self) -> str:
        """The record's key in the output version."""
        return f"{LEDGER}{self.shard}.{self.row_groups or 'all'}.{self.version}.json"

    @classmethod
    def parse(cls, file: str) -> RecordName | None:
        """The name that a file in the ledger's folder has; None when it is no record's."""
        match = _NAME.fullmatch(file)
        if match is None:
            return None
        shard, kind, start, stop, total, version = match.groups()
        return cls(shard, None if kind == "all" else RowGroups(int(start), int(stop), int(total)), version)


def record_name(shard: Shard, row_groups: RowGroups | None) -> RecordName:
    """The name of the record of a work item."""
    return RecordName(shard_hash(shard.key), row_groups, _version_hash(shard))


def _version_hash(shard: Shard) -> str:
    """16 hexadecimal digits that change with the shard's content."""
    return digest(shard.version, str(shard.size))[:16]


def shard_hash(key: str) -> str:
    """How record names call the shard with this key: 24 hexadecimal digits."""
    return digest(key)[:24]


def output_key(shard: Shard, row_groups: RowGroups | None, suffix: str) -> str:
    """The output of a work item: the shard's key below `data/`, row groups if it is split, and the shard's version. A
    changed shard gets a new file: none is ever replaced by other rows."""
    run = "" if row_groups is None else f".rg{row_groups.start:05}-{row_groups.stop:05}"
    return f"{DATA}{shard.key.removesuffix(suffix)}{run}.{_version_hash(shard)}{suffix}"


def quarantine_key(output: str, suffix: str) -> str:
    """The rejected rows of the work item with this output."""
    return f"{QUARANTINE}{output.removeprefix(DATA).removesuffix(suffix)}.parquet"


def source_keys(written: str, suffix: str) -> set[str]:
    """Keys that the shard of this output, or file of rejected rows, may have (a shard's own may look split)."""
    rejected = written.startswith(QUARANTINE)
    stem = written.removesuffix(".parquet" if rejected else suffix)
    stem = _VERSION.sub("", stem.removeprefix(QUARANTINE if rejected else DATA))
    stems = {stem, _RUN.sub("", stem)}
    return stems | {key + suffix for key in stems}


def digest(*parts: str) -> str:
    """SHA-256 of texts, 64 hexadecimal digits."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()
