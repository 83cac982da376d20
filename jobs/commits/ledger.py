"""The ledger: one small JSON record per finished work item, written last. An output without a record does not exist.

The name of a record says which rows of which version of which shard it is for, so one listing tells what is done and no
record has to be opened to resume. Records hold no times: the same work gives the same bytes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from adaptor.errors import InputError
from jobs.sources.parquet import Shard
from jobs.storage.objects import Objects

LEDGER, DATA, QUARANTINE = "_ledger/", "data/", "_quarantine/"

_NAME = re.compile(r"([0-9a-f]{24})\.(all|(\d{5,})-(\d{5,})-of-(\d{5,}))\.([0-9a-f]{16})\.json")

_RUN = re.compile(r"\.rg\d{5,}-\d{5,}\.parquet$")
_VERSION = re.compile(r"\.[0-9a-f]{16}\.parquet$")

#: Types of the fields of a record.
_KINDS: dict[str, tuple[type, ...]] = {
    "shard version output sha256 adaptor_id encoding": (str,),
    "size rows_in rows_out rows_quarantined output_bytes dim values_clipped": (int,),
    "duplicate_ids": (int, type(None)),
    "quarantine quarantine_sha256": (str, type(None)),
    "versions": (dict,),
}


@dataclass(frozen=True, order=True)
class RowGroups:
    """A run of row groups, `start` to `stop` (exclusive), of a shard that has `total`."""

    start: int
    stop: int
    total: int

    def __str__(self) -> str:
        return f"{self.start:05}-{self.stop:05}-of-{self.total:05}"


def output_key(shard_key: str, row_groups: RowGroups | None) -> str:
    """Where the short vectors of a work item go: the shard's own key below `data/`, with the run of a split shard."""
    if row_groups is None:
        return DATA + shard_key
    stem = shard_key.removesuffix(".parquet")
    return f"{DATA}{stem}.rg{row_groups.start:05}-{row_groups.stop:05}.parquet"


def source_keys(written: str) -> set[str]:
    """The keys of the shards that this output, or file of rejected rows, can be of: a name that looks like a run's may
    be a shard's own."""
    if written.startswith(QUARANTINE):
        written = DATA + _VERSION.sub(".parquet", written.removeprefix(QUARANTINE))
    whole = written.removeprefix(DATA)
    return {whole, _RUN.sub(".parquet", whole)}


@dataclass(frozen=True)
class RecordName:
    """What the name of a record says: hash of the shard's key, which row groups (None: all), hash of its version."""

    shard: str
    row_groups: RowGroups | None
    version: str

    @property
    def key(self) -> str:
        """The record's key in the output version folder."""
        return f"{LEDGER}{self.shard}.{self.row_groups or 'all'}.{self.version}.json"


def record_name(shard: Shard, row_groups: RowGroups | None) -> RecordName:
    """The name of the record of a work item."""
    return RecordName(shard_hash(shard.key), row_groups, _digest(shard.version, str(shard.size))[:16])


def shard_hash(key: str) -> str:
    """How record names call the shard with this key: 24 hexadecimal digits."""
    return _digest(key)[:24]


def quarantine_key(output: str, version: str) -> str:
    """Where the rejected rows of the work item with this output go. Each `version` of a shard (of `RecordName`) has its
    own place: who comes late with those of another one does no harm."""
    return f"{QUARANTINE}{output.removeprefix(DATA).removesuffix('.parquet')}.{version}.parquet"


def list_names(output_version: Objects, folder: str = LEDGER) -> list[RecordName]:
    """Names of all records, from one listing; other objects in the ledger's folder are ignored."""
    names = (_parse(info.key.removeprefix(folder)) for info in output_version.list(folder))
    return [name for name in names if name is not None]


@dataclass(frozen=True)
class Record:
    """A finished work item: what it read, what it wrote, and with what.

    `row_groups` is None for a whole shard. `duplicate_ids` counts rows whose id an earlier row of the item has (None:
    too many rows to tell). `quarantine` is the key of the rejected rows, None when there are none. Sizes are in bytes.
    `values_clipped` counts the numbers that float16 could not hold.
    """

    shard: str
    size: int
    version: str
    row_groups: RowGroups | None
    rows_in: int
    rows_out: int
    rows_quarantined: int
    duplicate_ids: int | None
    output: str
    output_bytes: int
    sha256: str
    quarantine: str | None
    quarantine_sha256: str | None
    adaptor_id: str
    dim: int
    encoding: str
    versions: dict[str, str]
    values_clipped: int = 0

    @property
    def name(self) -> RecordName:
        """The name it is stored under."""
        return record_name(Shard(self.shard, self.size, self.version), self.row_groups)

    def to_json(self) -> bytes:
        """Its file: indented, keys in the order of the fields, then a checksum of what they say."""
        fields = dataclasses.asdict(self)
        return json.dumps({**fields, "checksum": _checksum(fields)}, indent=1).encode() + b"\n"

    def _check(self) -> None:
        """`ValueError` for a field of another type: nobody who reads records may fall over a damaged one."""
        for names, kinds in _KINDS.items():
            for name in names.split():
                value = getattr(self, name)
                if not isinstance(value, kinds) or (isinstance(value, int) and value < 0):
                    raise ValueError(f"{name} is {value!r}")
        run = self.row_groups
        if run is not None and not 0 <= run.start < run.stop <= run.total:
            raise ValueError(f"row_groups is {run}")

    @classmethod
    def from_json(cls, content: bytes | str, where: str = "record") -> Record:
        """Read a record back; `InputError` naming `where` when it is damaged."""
        try:
            fields: dict[str, Any] = json.loads(content)
            if (found := fields.pop("checksum")) != _checksum(fields):
                raise ValueError(f"its checksum is {found!r}, not that of its content")
            run = fields.pop("row_groups")
            record = cls(row_groups=None if run is None else RowGroups(**run), **fields)
            record._check()
        except (ValueError, TypeError, KeyError, AttributeError) as problem:
            raise InputError(
                f"{where} is not a record of this version ({problem}): delete it and run compress again"
            ) from problem
        return record


def read_record(output_version: Objects, name: RecordName) -> Record:
    """The record of this name; `InputError` when it is absent, damaged or stands under a name that is not its own."""
    where = f"{output_version.uri}/{name.key}"
    record = Record.from_json(output_version.read(name.key), where)
    if record.name != name:
        raise InputError(f"{where} describes {record.shard} under another name: delete it and run compress again")
    return record


def commit(output_version: Objects, record: Record) -> bool:
    """Make the work item count; False when a record with another content came first (a lost reply is no reason)."""
    return output_version.put_new(record.name.key, record.to_json())


def retire(output_version: Objects, record: Record) -> None:
    """Remove a work item: first the record, so that it does not exist any more, then what it wrote."""
    output_version.delete(record.name.key)
    output_version.delete(record.output)
    if record.quarantine is not None:
        output_version.delete(record.quarantine)


def output_keys(output_version: Objects) -> Iterator[str]:
    """Keys of all Parquet files below `data/`, with or without a record."""
    return (info.key for info in output_version.list(DATA) if info.key.endswith(".parquet"))


def quarantine_keys(output_version: Objects) -> Iterator[str]:
    """Keys of all files of rejected rows, with or without a record."""
    return (info.key for info in output_version.list(QUARANTINE) if _VERSION.search(info.key))


def _parse(file: str) -> RecordName | None:
    found = _NAME.fullmatch(file)
    if found is None:
        return None
    shard, kind, start, stop, total, version = found.groups()
    return RecordName(shard, None if kind == "all" else RowGroups(int(start), int(stop), int(total)), version)


def _checksum(fields: dict[str, Any]) -> str:
    return _digest(json.dumps(fields, sort_keys=True))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()
