"""One work item, checked against its source: what a Ray task of verify does. Both files are streamed."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa

from adaptor.errors import InputError
from jobs.commits.ledger import LedgerRecord
from jobs.config.verify import VerifyConfig
from jobs.outputs.output_format import STAMP
from jobs.outputs.schema import short_schema
from jobs.sources.fingerprints import Fingerprints, fingerprints
from jobs.sources.ids import id_strings, is_id_type
from jobs.verify.checks import BYTES, COLUMNS, ROWS, STAMPS
from jobs.verify.context import ItemContext, ItemReport, ItemTask, open_context
from jobs.verify.rows import RowChecker

_HASHED_BYTES = 1 << 20


def check_item(config_json: str, task: ItemTask) -> ItemReport:
    """Check one work item. Raises `InputError` or `RunError` only when source or artefact themselves cannot be used."""
    config = VerifyConfig.model_validate_json(config_json)
    item = ItemContext(open_context(config_json), task)
    try:
        if _FileChecker(item).check():
            RowChecker(item, config.verification.tolerance).check()
    except InputError as problem:
        item.report_finding(BYTES, str(problem))
    return item.report


def find_ids(config_json: str, record: LedgerRecord, prints: Fingerprints) -> list[str | None]:
    """The ids in an output whose fingerprint is among `prints`, as often as they occur."""
    matches: list[str | None] = []
    for ids, _ in ItemContext(open_context(config_json), ItemTask(record, True, (), False)).output_batches():
        matches += id_strings(ids.filter(pa.array(np.isin(fingerprints(ids), prints))))
    return matches


class _FileChecker:
    """Bytes, stamps, columns and counts of one output."""

    def __init__(self, item: ItemContext) -> None:
        self._item = item

    def check(self) -> bool:
        """Whether the rows can be looked into: not those of other bytes, as a damaged file can crash its reader."""
        whole = self._check_bytes()
        return self._check_footer() and whole

    def _check_bytes(self) -> bool:
        record, there = self._item.record, self._item.job.output_version
        info = there.stat(record.output)
        if info is None:
            raise InputError("is missing")
        if info.size != record.output_bytes:
            self._item.report_finding(BYTES, f"has {info.size} bytes, recorded are {record.output_bytes}")
        same = self._has_digest(record.output, record.sha256, "has")
        if record.quarantine is not None and there.stat(record.quarantine) is not None:
            same &= self._has_digest(record.quarantine, record.quarantine_sha256, "its quarantine file has")
        return same

    def _has_digest(self, key: str, recorded: str | None, what: str) -> bool:
        digest, there = hashlib.sha256(), self._item.job.output_version
        with there.arrow.open_input_stream(there.path(key), compression=None) as stream:
            while block := stream.read(_HASHED_BYTES):
                digest.update(block)
        if digest.hexdigest() != recorded:
            self._item.report_finding(
                BYTES, f"{what} SHA-256 {digest.hexdigest()[:16]}…, recorded is {str(recorded)[:16]}…"
            )
        return digest.hexdigest() == recorded

    def _check_footer(self) -> bool:
        """Stamps, columns and counts; whether the vectors can be looked into."""
        item, record, config = self._item, self._item.record, self._item.job.config
        info = item.output_info
        item.report.rows = info.rows
        self._check_stamps(info.schema)
        if (record.dim, record.encoding) != (config.output.dim, config.output.encoding):
            item.report_finding(STAMPS, f"its record names dim {record.dim}, encoding {record.encoding}")
        if record.adaptor_id != item.job.adaptor.adaptor_id:
            item.report_finding(STAMPS, f"its record names adaptor {record.adaptor_id[:16]}…")
        if info.rows != record.rows_out:
            item.report_finding(ROWS, f"has {info.rows} rows, recorded are {record.rows_out}")
        if record.rows_in != record.rows_out + record.rows_quarantined:
            counts = f"{record.rows_in} in, {record.rows_out} out"
            item.report_finding(ROWS, f"record counts {counts}: they do not add up")
        if item.task.in_source:
            self._check_columns(info.schema)
        return self._has_vectors(info.schema) and self._has_ids(info.schema)

    def _check_stamps(self, schema: pa.Schema) -> None:
        metadata = schema.metadata or {}
        for name, value in self._item.job.stamps(self._item.shard).items():
            stamp = metadata.get(STAMP + name.encode(), b"nothing").decode(errors="replace")
            if stamp != value:
                self._item.report_finding(STAMPS, f"footer says {name} {stamp}, expected {value}")

    def _check_columns(self, schema: pa.Schema) -> None:
        """All columns against those of the source."""
        source, column = self._item.source_info.schema, self._item.columns[1]
        expected = short_schema(source, column, self._item.job.encoding.arrow_type, {})
        for stored, wanted in zip(schema, expected, strict=False):
            if (stored.name, stored.type) != (wanted.name, wanted.type):
                self._item.report_finding(COLUMNS, f"has {_named(stored)}, expected {_named(wanted)}")
        if len(schema) != len(expected):
            self._item.report_finding(COLUMNS, f"has {len(schema)} columns, expected {len(expected)}")

    def _has_vectors(self, schema: pa.Schema) -> bool:
        """Whether the vectors are of the encoding's type; says so when not, and nothing has yet."""
        kind, expected = _type_of(schema, self._item.columns[1]), self._item.job.encoding.arrow_type
        if kind != expected and not self._item.task.in_source:
            self._item.report_finding(COLUMNS, f"vectors are of type {kind}, expected {expected}")
        return bool(kind == expected)

    def _has_ids(self, schema: pa.Schema) -> bool:
        """Whether there is a column of ids that can be read; says so when not."""
        column = self._item.columns[0]
        kind = _type_of(schema, column)
        if kind is None or not is_id_type(kind):
            self._item.report_finding(
                COLUMNS, f"ids ('{column}') are of type {kind}, expected strings, integers or UUIDs"
            )
            return False
        return True


def _type_of(schema: pa.Schema, column: str) -> pa.DataType | None:
    """The type of a column; None when there is none of this name, or more than one."""
    return schema.field(column).type if schema.names.count(column) == 1 else None


def _named(column: pa.Field) -> str:
    return f"column '{column.name}' of type {column.type}"
