"""One work item, checked against its source: what a Ray task of verify does. Both files are streamed."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa

from adaptor.errors import InputError
from jobs.commits.ledger import LedgerRecord
from jobs.outputs.output_format import STAMP
from jobs.sources.fingerprints import Fingerprints, fingerprints
from jobs.sources.ids import id_strings, is_id_type
from jobs.verify.context import ItemContext, ItemReport, ItemTask
from jobs.verify.rows import check_rows

_HASHED_BYTES = 1 << 20


def check_item(config_json: str, task: ItemTask) -> ItemReport:
    """Check one work item. Raises `InputError` or `RunError` only when source or artefact themselves cannot be used."""
    item = ItemContext(config_json, task)
    try:
        whole = _check_bytes(item)
        # A damaged file can crash its reader: rows of other bytes are not looked into.
        if _check_footer(item) and whole:
            check_rows(item)
    except InputError as problem:
        item.report_finding("bytes", str(problem))
    return item.report


def find_ids(config_json: str, record: LedgerRecord, prints: Fingerprints) -> list[str | None]:
    """The ids in an output whose fingerprint is among `prints`, as often as they occur."""
    names: list[str | None] = []
    for ids, _ in ItemContext(config_json, ItemTask(record, True, (), False)).output_batches():
        names += id_strings(ids.filter(pa.array(np.isin(fingerprints(ids), prints))))
    return names


def _check_bytes(item: ItemContext) -> bool:
    """Size and digests; whether the digests are those recorded."""
    record, output_version = item.record, item.job.output_version
    info = output_version.stat(record.output)
    if info is None:
        raise InputError("is missing")
    if info.size != record.output_bytes:
        item.report_finding("bytes", f"has {info.size} bytes, recorded are {record.output_bytes}")
    same = _has_digest(item, record.output, record.sha256, "has")
    if record.quarantine is not None and output_version.stat(record.quarantine) is not None:
        same &= _has_digest(item, record.quarantine, record.quarantine_sha256, "its quarantine file has")
    return same


def _has_digest(item: ItemContext, key: str, recorded: str | None, subject: str) -> bool:
    files = item.job.output_version
    with files.arrow.open_input_stream(files.path(key), compression=None, buffer_size=_HASHED_BYTES) as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != recorded:
        item.report_finding("bytes", f"{subject} SHA-256 {digest[:16]}…, recorded is {str(recorded)[:16]}…")
    return digest == recorded


def _check_footer(item: ItemContext) -> bool:
    """Stamps, columns and counts; whether ids and vectors can be looked into."""
    record, job, info = item.record, item.job, item.output_info
    item.report.rows = info.rows
    metadata = info.schema.metadata or {}
    for name, value in job.stamps(item.shard).items():
        stamp = metadata.get(STAMP + name.encode(), b"nothing").decode(errors="replace")
        if stamp != value:
            item.report_finding("stamps", f"footer says {name} {stamp}, expected {value}")
    if (record.dim, record.encoding) != (job.config.output.dim, job.config.output.encoding):
        item.report_finding("stamps", f"its record names dim {record.dim}, encoding {record.encoding}")
    if record.adaptor_id != job.adaptor.adaptor_id:
        item.report_finding("stamps", f"its record names adaptor {record.adaptor_id[:16]}…")
    if info.rows != record.rows_out:
        item.report_finding("rows", f"has {info.rows} rows, recorded are {record.rows_out}")
    if record.rows_in != record.rows_out + record.rows_quarantined:
        counts = f"{record.rows_in} in, {record.rows_out} out"
        item.report_finding("rows", f"record counts {counts}: they do not add up")
    return _check_columns(item, info.schema)


def _check_columns(item: ItemContext, schema: pa.Schema) -> bool:
    """All columns against those of the source; whether ids and vectors can be looked into."""
    vectors = {column.name: column.encoding.arrow_type for column in item.job.vector_columns}
    if item.task.in_source:
        expected = item.job.output_schema(item.source_info.schema, {})
        for column, original in zip(schema, expected, strict=False):
            if (column.name, column.type) != (original.name, original.type):
                item.report_finding("columns", f"has {_named(column)}, expected {_named(original)}")
        if len(schema) != len(expected):
            item.report_finding("columns", f"has {len(schema)} columns, expected {len(expected)}")
    ids, wrong = _type_of(schema, item.id_column), False
    for name, vector_type in vectors.items():
        found = _type_of(schema, name)
        wrong |= found != vector_type
        if found != vector_type and not item.task.in_source:  # otherwise reported above
            item.report_finding("columns", f"vectors ('{name}') are of type {found}, expected {vector_type}")
    usable_ids = ids is not None and is_id_type(ids)
    if not usable_ids:
        expected_ids = "strings, integers or UUIDs"
        item.report_finding("columns", f"ids ('{item.id_column}') are of type {ids}, expected {expected_ids}")
    return usable_ids and not wrong


def _type_of(schema: pa.Schema, column: str) -> pa.DataType | None:
    """The type of a column; None when there is none of this name, or more than one."""
    return schema.field(column).type if schema.names.count(column) == 1 else None


def _named(column: pa.Field) -> str:
    return f"column '{column.name}' of type {column.type}"
