"""One work item, checked against its source: what a Ray task of verify does. Both files are streamed."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa

from adaptor.errors import InputError
from jobs.commits.ledger import Record
from jobs.commits.output_version import describe, stamps
from jobs.outputs.parquet import short_field, short_schema
from jobs.sources.fingerprints import Fingerprints, fingerprints
from jobs.sources.ids import id_strings, is_id_type
from jobs.sources.parquet import open_parquet
from jobs.verify.checks import BYTES, COLUMNS, ROWS, STAMPS
from jobs.verify.context import Place, Report, Subject, Task
from jobs.verify.rows import RowChecker

_HASHED_BYTES = 1 << 20


def check_item(config_json: str, task: Task) -> Report:
    """Check one work item. Raises `InputError` or `RunError` only when source or artefact themselves cannot be used."""
    subject = Subject(Place.of(config_json), task)
    try:
        if _FileChecker(subject).check():
            RowChecker(subject).check()
    except InputError as problem:
        subject.found(BYTES, str(problem))
    return subject.report


def find_ids(config_json: str, record: Record, prints: Fingerprints) -> list[str | None]:
    """The ids in an output whose fingerprint is among `prints`, as often as they occur."""
    found: list[str | None] = []
    for ids, _ in Subject(Place.of(config_json), Task(record, True, (), False)).output_batches():
        found += id_strings(ids.filter(pa.array(np.isin(fingerprints(ids), prints))))
    return found


class _FileChecker:
    """Bytes, stamps, columns and counts of one output."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject

    def check(self) -> bool:
        """Whether the rows can be looked into: not those of other bytes, as a damaged file can crash its reader."""
        whole = self._check_bytes()
        return self._check_footer() and whole

    def _check_bytes(self) -> bool:
        record, there = self._subject.record, self._subject.place.output_version
        info = there.stat(record.output)
        if info is None:
            raise InputError("is missing")
        if info.size != record.output_bytes:
            self._subject.found(BYTES, f"has {info.size} bytes, recorded are {record.output_bytes}")
        same = self._has_digest(record.output, record.sha256, "has")
        if record.quarantine is not None and there.stat(record.quarantine) is not None:
            same &= self._has_digest(record.quarantine, record.quarantine_sha256, "its quarantine file has")
        return same

    def _has_digest(self, key: str, recorded: str | None, what: str) -> bool:
        digest, there = hashlib.sha256(), self._subject.place.output_version
        with there.arrow.open_input_stream(there.path(key), compression=None) as stream:
            while block := stream.read(_HASHED_BYTES):
                digest.update(block)
        if digest.hexdigest() != recorded:
            self._subject.found(BYTES, f"{what} SHA-256 {digest.hexdigest()[:16]}…, recorded is {str(recorded)[:16]}…")
        return digest.hexdigest() == recorded

    def _check_footer(self) -> bool:
        """Stamps, columns and counts; whether the vectors can be looked into."""
        record, config = self._subject.record, self._subject.place.config
        with open_parquet(self._subject.place.output_version, record.output) as file:
            rows, schema = file.metadata.num_rows, file.schema_arrow
        self._subject.report.rows = rows
        dim, metadata = config.output.dim, schema.metadata or {}
        expected = stamps(
            describe(config.source, self._subject.place.adaptor, dim, config.output), record.shard, record.version
        )
        for name, value in expected.items():
            found = metadata.get(f"matryoshka.{name}".encode(), b"nothing").decode(errors="replace")
            if found != value:
                self._subject.found(STAMPS, f"footer says {name} {found}, expected {value}")
        if (record.adaptor_id, record.dim, record.encoding) != (expected["adaptor_id"], dim, config.output.encoding):
            self._subject.found(STAMPS, f"its record names adaptor {record.adaptor_id[:16]}…, dim {record.dim}")
        if rows != record.rows_out:
            self._subject.found(ROWS, f"has {rows} rows, recorded are {record.rows_out}")
        if record.rows_in != record.rows_out + record.rows_quarantined:
            self._subject.found(ROWS, f"record counts {record.rows_in} in, {record.rows_out} out: they do not add up")
        if not self._subject.task.in_source:
            column = config.source.vector_column
            kind = _type_of(schema, column)
            expected_kind = short_field(pa.field(column, pa.null()), dim, config.output.encoding).type
            if kind != expected_kind:
                self._subject.found(COLUMNS, f"vectors are of type {kind}, expected {expected_kind}")
            return bool(kind == expected_kind) and self._has_ids(schema)
        return self._check_columns(schema)

    def _check_columns(self, schema: pa.Schema) -> bool:
        config, column = self._subject.place.config, self._subject.place.config.source.vector_column
        source = self._subject.source.schema
        short = short_field(source.field(column), config.output.dim, config.output.encoding)
        expected = short_schema(source, column, short, {})
        for field_there, field_here in zip(schema, expected, strict=False):
            if (field_there.name, field_there.type) != (field_here.name, field_here.type):
                self._subject.found(COLUMNS, f"has {_named(field_there)}, expected {_named(field_here)}")
        if len(schema) != len(expected):
            self._subject.found(COLUMNS, f"has {len(schema)} columns, expected {len(expected)}")
        return bool(_type_of(schema, column) == short.type) and self._has_ids(schema)

    def _has_ids(self, schema: pa.Schema) -> bool:
        """Whether there is a column of ids that can be read; says so when not."""
        column = self._subject.columns[0]
        kind = _type_of(schema, column)
        if kind is None or not is_id_type(kind):
            self._subject.found(COLUMNS, f"ids ('{column}') are of type {kind}, expected strings, integers or UUIDs")
            return False
        return True


def _type_of(schema: pa.Schema, column: str) -> pa.DataType | None:
    """The type of a column; None when there is none of this name, or more than one."""
    return schema.field(column).type if schema.names.count(column) == 1 else None


def _named(column: pa.Field) -> str:
    return f"column '{column.name}' of type {column.type}"
