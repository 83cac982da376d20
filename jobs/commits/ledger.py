"""The ledger: a small JSON record for each finished work item, written last. An output without one does not count.

Records hold no times: the same work gives the same bytes.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field, TypeAdapter

from adaptor.drift import DriftSample
from adaptor.errors import InputError
from jobs.commits.names import DATA, LEDGER, QUARANTINE, RecordName, RowGroups, digest, record_name
from jobs.sources.source import Shard
from jobs.storage.objects import Objects

Count = Annotated[int, Field(ge=0)]
#: Records read at a time.
_READING_THREADS = 16


@dataclass(frozen=True, kw_only=True)
class LedgerRecord:
    """A finished work item: what it read (`row_groups` None: a whole shard), what it wrote, and with what.

    `duplicate_ids` counts rows whose id an earlier row of the item has (None: too many to tell), `values_clipped`
    numbers that the encoding could not hold. `quarantine` is the key of the rejected rows, `drift` what some rows say
    of how like the fit's own they are. Sizes are in bytes.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(strict=True, extra="forbid")

    shard: str
    size: Count
    version: str
    row_groups: RowGroups | None
    rows_in: Count
    rows_out: Count
    rows_quarantined: Count
    duplicate_ids: Count | None
    output: str
    output_bytes: Count
    sha256: str
    quarantine: str | None
    quarantine_sha256: str | None
    adaptor_id: str
    dim: Count
    encoding: str
    versions: dict[str, str]
    values_clipped: Count = 0
    drift: DriftSample | None = None

    @property
    def name(self) -> RecordName:
        """The name it is stored under."""
        return record_name(Shard(self.shard, self.size, self.version), self.row_groups)

    def to_json(self) -> bytes:
        """Its file: the fields in their order, then a checksum of them."""
        fields = dataclasses.asdict(self)
        return json.dumps({**fields, "checksum": _checksum(fields)}, indent=1).encode() + b"\n"

    @classmethod
    def from_json(cls, content: bytes | str, where: str = "record") -> LedgerRecord:
        """Read a record back; `InputError` naming `where` when it is damaged."""
        try:
            fields: dict[str, Any] = json.loads(content)
            checksum = fields.pop("checksum")
            if checksum != _checksum(fields):
                raise ValueError(f"its checksum is {checksum!r}, not that of its content")
            record = _RECORD.validate_json(json.dumps(fields))
            run = record.row_groups
            if run is not None and not 0 <= run.start < run.stop <= run.total:
                raise ValueError(f"row_groups is {run}")
        except (ValueError, TypeError, KeyError, AttributeError) as problem:
            reason = " ".join(str(problem).split())
            raise InputError(
                f"{where} is not a record of this version ({reason}): delete it and run compress again"
            ) from problem
        return record


_RECORD = TypeAdapter(LedgerRecord)


def list_names(output: Objects, folder: str = LEDGER) -> list[RecordName]:
    """Names of all records (or notes, in another folder), from one listing; other objects are ignored."""
    names = (RecordName.parse(info.key.removeprefix(folder)) for info in output.list(folder))
    return [name for name in names if name is not None]


def read_record(output: Objects, name: RecordName) -> LedgerRecord:
    """The record of this name; `InputError` when it is absent, damaged or another's."""
    where = f"{output.uri}/{name.key}"
    record = LedgerRecord.from_json(output.read(name.key), where)
    if record.name != name:
        raise InputError(f"{where} describes {record.shard} under another name: delete it and run compress again")
    return record


def read_records(output: Objects, names: Iterable[RecordName]) -> list[LedgerRecord | InputError]:
    """The records, read in parallel, or why one cannot be read."""

    def read(name: RecordName) -> LedgerRecord | InputError:
        """The record, or why it cannot be read."""
        try:
            return read_record(output, name)
        except InputError as problem:
            return problem

    with ThreadPoolExecutor(_READING_THREADS) as threads:
        return list(threads.map(read, names))


def commit(output: Objects, record: LedgerRecord) -> bool:
    """Make the work item count; False when a record with another content came first."""
    return output.put_new(record.name.key, record.to_json())


def output_keys(output: Objects, suffix: str) -> Iterator[str]:
    """Keys of all output files below `data/`, with or without a record."""
    return (info.key for info in output.list(DATA) if info.key.endswith(suffix))


def quarantine_keys(output: Objects) -> Iterator[str]:
    """Keys of all files of rejected rows, with or without a record."""
    return (info.key for info in output.list(QUARANTINE) if info.key.endswith(".parquet"))


def _checksum(fields: dict[str, Any]) -> str:
    return digest(json.dumps(fields, sort_keys=True))
