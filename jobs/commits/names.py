"""What things of an output version are called: which rows of which version of which shard an object is for.

The name of a record says it all, so one listing tells what is done and no record has to be opened to resume.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from jobs.sources.source import Shard

LEDGER, DATA, QUARANTINE = "_ledger/", "data/", "_quarantine/"

_NAME = re.compile(r"([0-9a-f]{24})\.(all|(\d{5,})-(\d{5,})-of-(\d{5,}))\.([0-9a-f]{16})\.json")
_RUN = re.compile(r"\.rg\d{5,}-\d{5,}$")
#: Rejected rows are Parquet, whatever the format of the outputs is.
_REJECTED = re.compile(r"\.[0-9a-f]{16}\.parquet$")


@dataclass(frozen=True, order=True)
class RowGroups:
    """A run of row groups, `start` to `stop` (exclusive), of a shard that has `total`."""

    start: int
    stop: int
    total: int

    def __str__(self) -> str:
        return f"{self.start:05}-{self.stop:05}-of-{self.total:05}"


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


def record_name(shard: Shard, row_groups: RowGroups | None) -> RecordName:
    """The name of the record of a work item."""
    return RecordName(shard_hash(shard.key), row_groups, digest(shard.version, str(shard.size))[:16])


def parse_record_name(file: str) -> RecordName | None:
    """The name that a file in the ledger's folder has, None when it is no record's."""
    match = _NAME.fullmatch(file)
    if match is None:
        return None
    shard, kind, start, stop, total, version = match.groups()
    return RecordName(shard, None if kind == "all" else RowGroups(int(start), int(stop), int(total)), version)


def shard_hash(key: str) -> str:
    """How record names call the shard with this key: 24 hexadecimal digits."""
    return digest(key)[:24]


def output_key(shard_key: str, row_groups: RowGroups | None, suffix: str) -> str:
    """Where the short vectors of a work item go: the shard's own key below `data/`, with the run of a split shard, and
    the `suffix` of the output format unless the shard has it already."""
    run = "" if row_groups is None else f".rg{row_groups.start:05}-{row_groups.stop:05}"
    return f"{DATA}{shard_key.removesuffix(suffix)}{run}{suffix}"


def quarantine_key(output: str, suffix: str, version: str) -> str:
    """Where the rejected rows of the work item with this output go. Each `version` of a shard (of `RecordName`) has its
    own place: who comes late with those of another one does no harm."""
    return f"{QUARANTINE}{output.removeprefix(DATA).removesuffix(suffix)}.{version}.parquet"


def is_quarantine_key(key: str) -> bool:
    """Whether an object of this name holds rejected rows."""
    return key.startswith(QUARANTINE) and bool(_REJECTED.search(key))


def source_keys(written: str, suffix: str) -> set[str]:
    """The keys of the shards that this output, or file of rejected rows, can be of: a name that looks like a run's may
    be a shard's own."""
    if written.startswith(QUARANTINE):
        stem = _REJECTED.sub("", written.removeprefix(QUARANTINE))
    else:
        stem = written.removeprefix(DATA).removesuffix(suffix)
    stems = {stem, _RUN.sub("", stem)}
    return stems | {key + suffix for key in stems}


def digest(*parts: str) -> str:
    """SHA-256 of texts in their order, 64 hexadecimal digits."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()
